// Say what pictures show: classify picture.@{pnm} ..., each a binary @{pnm_kind} of @{width} x @{height} with 255 levels.
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>

#include "classifier.hpp"

namespace {

std::vector<std::uint8_t> read_picture(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    std::string magic;
    std::size_t width = 0, height = 0, levels = 0;
    const auto skip_comments = [&stream] {
        while ((stream >> std::ws).peek() == '#') {
            stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
        }
    };
    if (!(stream >> magic) || magic != "P@{pnm_magic}") {
        throw std::runtime_error("not a binary @{pnm_kind}");
    }
    for (auto *number : {&width, &height, &levels}) {
        skip_comments();
        stream >> *number;
    }
    if (!stream || width != kWidth || height != kHeight || levels != 255) {
        throw std::runtime_error("expected @{width} x @{height} pixels with 255 levels");
    }
    stream.ignore(1);
    std::vector<std::uint8_t> pixels(kPixels);
    if (!stream.read(reinterpret_cast<char *>(pixels.data()), static_cast<std::streamsize>(pixels.size()))) {
        throw std::runtime_error("ends before its last pixel");
    }
    return pixels;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 2) {
        std::cerr << "usage: " << argv[0] << " picture.@{pnm} ... (model.onnx lies in the working directory)\n";
        return 2;
    }
    std::optional<Classifier> classifier;
    try {
        classifier.emplace("model.onnx");
    } catch (const std::exception &error) {
        std::cerr << "model.onnx: " << error.what() << '\n';
        return 4;
    }
    int code = 0;
    for (int at = 1; at < argc; ++at) {
        try {
            const Prediction prediction = classifier->predict(read_picture(argv[at])).front();
            const auto label = static_cast<std::size_t>(prediction.label);
            std::cout << argv[at] << '\t' << kClasses[label] << '\t' << prediction.probabilities[label] << '\n';
        } catch (const std::exception &error) {
            std::cerr << argv[at] << ": " << error.what() << '\n';
            code = 3;
        }
    }
    return code;
}

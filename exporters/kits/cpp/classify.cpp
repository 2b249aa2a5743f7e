// Say what pictures show: classify [--provider cuda] picture.@{pnm} ..., each a binary @{pnm_kind} of @{width} x @{height} with 255 levels.
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>

#include "@{c_name}_classifier.hpp"

using namespace @{c_name}_classifier;

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
    const bool wants_cuda = argc > 2 && std::string(argv[1]) == "--provider" && std::string(argv[2]) == "cuda";
    const int first = wants_cuda ? 3 : 1;
    if (argc <= first || argv[first][0] == '-') {
        std::cerr << "usage: " << argv[0] << " [--provider cuda] picture.@{pnm} ... (model.onnx lies in the working directory)\n";
        return 2;
    }
    std::optional<Classifier> classifier;
    try {
        classifier.emplace("model.onnx", wants_cuda ? Provider::cuda : Provider::cpu);
    } catch (const std::exception &error) {
        const std::string words = error.what();
        std::cerr << "the model cannot be run: " << words.substr(0, words.find('\n')) << '\n';
        return wants_cuda ? 5 : 4;
    }
    int code = 0;
    for (int at = first; at < argc; ++at) {
        try {
            const Prediction prediction = classifier->predict(read_picture(argv[at])).front();
            std::cout << argv[at] << '\t' << kClasses[prediction.label] << '\t'
                      << prediction.probabilities[prediction.label] << (prediction.doubtful ? "\tdoubtful: " : "")
                      << prediction.reason << '\n';
        } catch (const std::exception &error) {
            std::cerr << argv[at] << ": " << error.what() << '\n';
            code = 3;
        }
    }
    return code;
}

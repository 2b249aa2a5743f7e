// Replay the golden vectors of the card and write selfcheck.json: selfcheck [cuda].
#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "@{c_name}_classifier.hpp"
#include "golden.h"

using namespace @{c_name}_classifier;

namespace {

int check(Provider provider) {
    if (GOLDEN_COUNT == 0) {
        std::ofstream("selfcheck.json") << "{\"runtime\": \"" << Classifier::runtime() << "\", \"version\": \""
                                        << Classifier::version() << "\", \"status\": \"not-run\", \"vectors\": 0,\n"
                                        << " \"max_abs_logit_error\": null, \"ms_per_image\": null}\n";
        return 0;
    }
    Classifier classifier("model.onnx", provider);
    double error = 0;
    double off = 0;  // the same of the probabilities
    bool is_right = true;
    bool is_doubted = true;  // what the product doubts, and nothing else
    for (int at = 0; at < GOLDEN_COUNT; ++at) {
        const std::vector<std::uint8_t> pixels(golden_images[at], golden_images[at] + kPixels);
        const Prediction prediction = classifier.predict(pixels).front();
        const double most = *std::max_element(std::begin(golden_logits[at]), std::end(golden_logits[at]));
        double sum = 0;
        for (const double logit : golden_logits[at])
            sum += std::exp(logit - most);
        for (std::size_t place = 0; place < kNumClasses; ++place) {
            const double difference = std::abs(static_cast<double>(prediction.logits[place]) - golden_logits[at][place]);
            const double share = std::exp(golden_logits[at][place] - most) / sum;
            const double drift = std::abs(static_cast<double>(prediction.probabilities[place]) - share);
            error = difference <= error ? error : difference;  // this way round NaN stays
            off = drift <= off ? off : drift;
        }
        const auto largest = std::max_element(prediction.logits.begin(), prediction.logits.end());
        is_right = is_right && *largest == prediction.logits[prediction.label];
        is_doubted = is_doubted && (golden_doubts[at] < 0 || (golden_doubts[at] == 1) == prediction.doubtful);
    }
    const bool blank = classifier.predict(std::vector<std::uint8_t>(kPixels)).front().doubtful;
    is_doubted = is_doubted && (golden_doubts[GOLDEN_COUNT] < 0 || (golden_doubts[GOLDEN_COUNT] == 1) == blank);
    is_right = is_right && is_doubted && error <= GOLDEN_TOLERANCE && off <= GOLDEN_PROBABILITY_TOLERANCE;
    std::vector<double> times;
    const std::vector<std::uint8_t> first(golden_images[0], golden_images[0] + kPixels);
    for (int run = 0; run < 101; ++run) {
        const auto start = std::chrono::steady_clock::now();
        classifier.predict(first);
        times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    const double milliseconds = times[times.size() / 2];
    std::ofstream("selfcheck.json") << "{\"runtime\": \"" << Classifier::runtime() << "\", \"version\": \""
                                    << Classifier::version() << "\", \"status\": \"" << (is_right ? "pass" : "fail")
                                    << "\", \"vectors\": " << GOLDEN_COUNT << ",\n \"max_abs_logit_error\": " << error
                                    << ", \"ms_per_image\": " << milliseconds << ", \"reason\": \""
                                    << (is_doubted ? "" : "other vectors are doubted here than where the kit was made")
                                    << "\"}\n";
    std::cout << (is_right ? "pass" : "FAIL") << ": " << GOLDEN_COUNT << " vectors, largest logit error " << error
              << ", " << milliseconds << " ms a picture\n";
    return is_right ? 0 : 1;
}

}  // namespace

int main(int count, char **arguments) {
    try {
        const bool wants_cuda = count > 1 && std::string(arguments[1]) == "cuda";
        return check(wants_cuda ? Provider::cuda : Provider::cpu);
    } catch (const std::exception &error) {
        std::cerr << "the model cannot be run: " << error.what() << '\n';
        return 5;
    }
}

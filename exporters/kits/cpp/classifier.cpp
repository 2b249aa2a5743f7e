// What is the same for both runtimes: how many pictures there are, and which answers are to be doubted.
#include <stdexcept>

#include "@{c_name}_classifier.hpp"
#include "guard.h"

namespace @{c_name}_classifier {

std::vector<Prediction> Classifier::predict(const std::vector<std::uint8_t> &pixels) {
    if (pixels.empty() || pixels.size() % kPixels != 0) {
        throw std::invalid_argument("the pixels are no whole number of pictures");
    }
    std::vector<Prediction> predictions = run(pixels, pixels.size() / kPixels);
    for (std::size_t at = 0; at < predictions.size(); ++at) {
        Prediction &made = predictions[at];
        char reason[GUARD_REASON_SIZE];
        const auto label = static_cast<int>(made.label);
        made.doubtful = guard_judge(pixels.data() + at * kPixels, made.logits.data(), label, reason) != 0;
        made.reason = reason;
    }
    return predictions;
}

}  // namespace @{c_name}_classifier

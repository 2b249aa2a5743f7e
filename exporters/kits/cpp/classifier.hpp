// @{name}: @{classes_count} classes of @{height} x @{width} pictures.
//
//     @{c_name}_classifier::Classifier classifier("model.onnx");
//     const auto prediction = classifier.predict(pixels).front();
//     std::cout << @{c_name}_classifier::kClasses[prediction.label];
//     if (prediction.doubtful) std::cout << ", doubtful: " << prediction.reason;
//
// @{doubt_note}
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace @{c_name}_classifier {

inline constexpr std::size_t kHeight = @{height}, kWidth = @{width}, kChannels = @{channels};
inline constexpr std::size_t kPixels = kHeight * kWidth * kChannels;
inline constexpr std::size_t kNumClasses = @{classes_count};

/// Names of the classes, in the order of the logits.
inline constexpr std::array<std::string_view, kNumClasses> kClasses = {
@{c_classes}
};

/// What a picture shows.
struct Prediction {
    std::size_t label = 0;                           ///< place of the largest logit
    std::array<float, kNumClasses> logits{};         ///< before the softmax
    std::array<float, kNumClasses> probabilities{};  ///< their sum is 1
    bool doubtful = false;  ///< whether the picture or the logits are unlike the training's
    std::string reason;     ///< why, in words; empty where it is not
};

/// Where the model runs; one that is not active is an error, never a slower processor.
enum class Provider { cpu, cuda };

/// The model, opened once. Not for several threads at the same time; each may have its own.
class Classifier {
   public:
    /// @throws std::exception where the file cannot be opened or the provider is not active; one sentence says why
    explicit Classifier(const std::string &model_path, Provider provider = Provider::cpu);
    ~Classifier();
    Classifier(Classifier &&) noexcept;
    Classifier &operator=(Classifier &&) noexcept;

    /// Classify pictures that lie one after the other: raw bytes row by row, @{channels_words}; @{polarity_words}.
    /// @throws std::invalid_argument where `pixels` holds no whole number of pictures, or none
    std::vector<Prediction> predict(const std::vector<std::uint8_t> &pixels);

    /// Name and version of the runtime.
    static std::string runtime();
    static std::string version();

   private:
    struct State;
    std::vector<Prediction> run(const std::vector<std::uint8_t> &pixels, std::size_t count);
    std::unique_ptr<State> state_;
};

}  // namespace @{c_name}_classifier

// @{name}: @{classes_count} classes of @{height} x @{width} pictures.
//
//     Classifier classifier("model.onnx");
//     Prediction prediction = classifier.predict(pixels);
//     std::cout << kClasses[prediction.label];
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

inline constexpr std::size_t kHeight = @{height}, kWidth = @{width}, kChannels = @{channels};
inline constexpr std::size_t kPixels = kHeight * kWidth * kChannels;
inline constexpr std::size_t kNumClasses = @{classes_count};

/// Names of the classes, in the order of the logits.
inline constexpr std::array<std::string_view, kNumClasses> kClasses = {
@{c_classes}
};

/// What a picture shows.
struct Prediction {
    std::int64_t label = 0;                       ///< place of the largest logit
    std::array<float, kNumClasses> logits{};      ///< before the softmax
    std::array<float, kNumClasses> probabilities{};  ///< their sum is 1
};

/// The model, opened once. Not for several threads at the same time; each may have its own.
class Classifier {
   public:
    /// @throws std::exception where the file cannot be opened
    explicit Classifier(const std::string &model_path);
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
    std::unique_ptr<State> state_;
};

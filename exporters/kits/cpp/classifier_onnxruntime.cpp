#include <algorithm>
#include <stdexcept>

#include <onnxruntime_cxx_api.h>

#include "classifier.hpp"

struct Classifier::State {
    Ort::Env environment{ORT_LOGGING_LEVEL_WARNING, "classifier"};
    Ort::Session session{nullptr};
};

Classifier::Classifier(const std::string &model_path) : state_(std::make_unique<State>()) {
    const std::basic_string<ORTCHAR_T> path(model_path.begin(), model_path.end());
    state_->session = Ort::Session(state_->environment, path.c_str(), Ort::SessionOptions{});
}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier &&) noexcept = default;
Classifier &Classifier::operator=(Classifier &&) noexcept = default;

std::vector<Prediction> Classifier::predict(const std::vector<std::uint8_t> &pixels) {
    if (pixels.empty() || pixels.size() % kPixels != 0) {
        throw std::invalid_argument("the pixels are no whole number of pictures");
    }
    const std::size_t count = pixels.size() / kPixels;
    const std::array<std::int64_t, @{cpp_rank}> shape{static_cast<std::int64_t>(count), @{cpp_shape}};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    // The session only reads its inputs; the interface has no way to say so.
    const auto images = Ort::Value::CreateTensor<std::uint8_t>(
        memory, const_cast<std::uint8_t *>(pixels.data()), pixels.size(), shape.data(), shape.size());
    const std::array<const char *, 1> inputs{"images"};
    const std::array<const char *, 3> names{"logits", "probabilities", "label"};
    const auto outputs = state_->session.Run(Ort::RunOptions{}, inputs.data(), &images, 1, names.data(), names.size());
    std::vector<Prediction> predictions(count);
    for (std::size_t at = 0; at < count; ++at) {
        predictions[at].label = outputs[2].GetTensorData<std::int64_t>()[at];
        std::copy_n(outputs[0].GetTensorData<float>() + at * kNumClasses, kNumClasses, predictions[at].logits.begin());
        std::copy_n(outputs[1].GetTensorData<float>() + at * kNumClasses, kNumClasses,
                    predictions[at].probabilities.begin());
    }
    return predictions;
}

std::string Classifier::runtime() { return "onnxruntime-cpp"; }

std::string Classifier::version() { return Ort::GetVersionString(); }

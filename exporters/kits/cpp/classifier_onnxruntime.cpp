#include <algorithm>
#include <stdexcept>

#include <onnxruntime_cxx_api.h>

#include "@{c_name}_classifier.hpp"

namespace @{c_name}_classifier {

struct Classifier::State {
    Ort::Env environment{ORT_LOGGING_LEVEL_FATAL, "@{c_name}_classifier"};  // what fails is thrown, in one sentence
    Ort::Session session{nullptr};
};

Classifier::Classifier(const std::string &model_path, Provider provider) : state_(std::make_unique<State>()) {
    const std::basic_string<ORTCHAR_T> path(model_path.begin(), model_path.end());
    Ort::SessionOptions options;
    try {
        if (provider == Provider::cuda) {
            options.AddConfigEntry("session.disable_cpu_ep_fallback", "1");
            options.AppendExecutionProvider_CUDA(OrtCUDAProviderOptions{});
        }
        state_->session = Ort::Session(state_->environment, path.c_str(), options);
    } catch (const Ort::Exception &error) {
        if (provider == Provider::cpu) {
            throw;
        }
        const std::string words = error.what();
        throw std::runtime_error("provider cuda is not active: " + words.substr(0, words.find('\n')) +
                                 "; it needs ONNX Runtime's release for GPUs, CUDA, cuDNN and an NVIDIA driver");
    }
}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier &&) noexcept = default;
Classifier &Classifier::operator=(Classifier &&) noexcept = default;

std::vector<Prediction> Classifier::run(const std::vector<std::uint8_t> &pixels, std::size_t count) {
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
        predictions[at].label = static_cast<std::size_t>(outputs[2].GetTensorData<std::int64_t>()[at]);
        std::copy_n(outputs[0].GetTensorData<float>() + at * kNumClasses, kNumClasses, predictions[at].logits.begin());
        std::copy_n(outputs[1].GetTensorData<float>() + at * kNumClasses, kNumClasses,
                    predictions[at].probabilities.begin());
    }
    return predictions;
}

std::string Classifier::runtime() { return "onnxruntime-cpp"; }

std::string Classifier::version() { return OrtGetApiBase()->GetVersionString(); }

}  // namespace @{c_name}_classifier

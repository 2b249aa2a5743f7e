#include <algorithm>
#include <openvino/openvino.hpp>
#include <stdexcept>

#include "@{c_name}_classifier.hpp"

namespace @{c_name}_classifier {

struct Classifier::State {
    ov::Core core;
    ov::CompiledModel model;
    ov::InferRequest request;
};

Classifier::Classifier(const std::string &model_path, Provider provider) : state_(std::make_unique<State>()) {
    if (provider == Provider::cuda) {
        throw std::runtime_error("provider cuda is not active: OpenVINO has none; build with -DBACKEND=onnxruntime");
    }
    // Left to itself OpenVINO computes in bfloat16 where the processor can.
    state_->model = state_->core.compile_model(model_path, "CPU", ov::hint::inference_precision(ov::element::f32));
    state_->request = state_->model.create_infer_request();
}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier &&) noexcept = default;
Classifier &Classifier::operator=(Classifier &&) noexcept = default;

std::vector<Prediction> Classifier::run(const std::vector<std::uint8_t> &pixels, std::size_t count) {
    ov::Tensor images(ov::element::u8, ov::Shape{count, @{cpp_shape}});
    std::copy(pixels.begin(), pixels.end(), images.data<std::uint8_t>());
    state_->request.set_tensor("images", images);
    state_->request.infer();
    const auto *logits = state_->request.get_tensor("logits").data<float>();
    const auto *probabilities = state_->request.get_tensor("probabilities").data<float>();
    const auto *label = state_->request.get_tensor("label").data<std::int64_t>();
    std::vector<Prediction> predictions(count);
    for (std::size_t at = 0; at < count; ++at) {
        predictions[at].label = static_cast<std::size_t>(label[at]);
        std::copy_n(logits + at * kNumClasses, kNumClasses, predictions[at].logits.begin());
        std::copy_n(probabilities + at * kNumClasses, kNumClasses, predictions[at].probabilities.begin());
    }
    return predictions;
}

std::string Classifier::runtime() { return "openvino-cpp"; }

std::string Classifier::version() { return ov::get_openvino_version().buildNumber; }

}  // namespace @{c_name}_classifier

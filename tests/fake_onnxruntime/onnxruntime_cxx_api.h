// Stands in for ONNX Runtime's C++ headers, which no package that can be had here brings: what the kit uses of them, as
// they declare it since 1.14. There is no CUDA; the answer is always the last class.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#define ORTCHAR_T char
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING, ORT_LOGGING_LEVEL_FATAL };
enum OrtAllocatorType { OrtArenaAllocator };
enum OrtMemType { OrtMemTypeDefault };
struct OrtCUDAProviderOptions {
    int device_id = 0;
};
struct OrtApiBase {
    const char *(*GetVersionString)();
};
inline const OrtApiBase *OrtGetApiBase() {
    static const OrtApiBase base{[] { return "0.fake"; }};
    return &base;
}

namespace Ort {

struct Exception : std::exception {
    std::string words;
    explicit Exception(std::string given) : words(std::move(given)) {}
    const char *what() const noexcept override { return words.c_str(); }
};

struct Env {
    Env(OrtLoggingLevel, const char *) {}
};

struct SessionOptions {
    SessionOptions &AddConfigEntry(const char *, const char *) { return *this; }
    SessionOptions &AppendExecutionProvider_CUDA(const OrtCUDAProviderOptions &) {
        throw Exception("libcublasLt.so.13: cannot open shared object file\n more of it");
    }
};

struct RunOptions {};

struct MemoryInfo {
    static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType) { return {}; }
};

struct Value {
    std::vector<float> floats;
    std::vector<std::int64_t> labels;
    std::int64_t count = 0;
    template <typename T>
    static Value CreateTensor(const MemoryInfo &, T *, std::size_t, const std::int64_t *shape, std::size_t) {
        Value made;
        made.count = shape[0];
        return made;
    }
    template <typename T>
    const T *GetTensorData() const {
        if constexpr (std::is_same_v<T, float>)
            return floats.data();
        else
            return labels.data();
    }
};

struct Session {
    Session(std::nullptr_t) {}
    Session(Env &, const char *, const SessionOptions &) {}
    std::vector<Value> Run(const RunOptions &, const char *const *, const Value *inputs, std::size_t,
                           const char *const *, std::size_t) {
        Value logits, probabilities, label;
        for (std::int64_t at = 0; at < inputs->count; ++at) {
            for (int place = 0; place < FAKE_CLASSES; ++place) {
                logits.floats.push_back(place == FAKE_CLASSES - 1 ? 9.0F : 0.0F);
                probabilities.floats.push_back(place == FAKE_CLASSES - 1 ? 0.75F : 0.0F);
            }
            label.labels.push_back(FAKE_CLASSES - 1);
        }
        return {logits, probabilities, label};
    }
};

}  // namespace Ort

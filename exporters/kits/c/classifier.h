/* @{name}: @{classes_count} classes of @{height} x @{width} pictures, as plain C without any dependency but libm.
 *
 *     @{c_name}_result result;
 *     @{c_name}_classify(pixels, &result);
 *     puts(@{c_name}_classes[result.label]);
 *     if (result.doubtful) puts(result.reason);
 *
 * @{doubt_note}
 * Nothing is allocated and no state is kept: any number of threads may call it at once, each with a stack that has room
 * for the working memory that the README states.
 */
#ifndef @{c_macro}_CLASSIFIER_H
#define @{c_macro}_CLASSIFIER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    @{c_macro}_IMAGE_HEIGHT = @{height},
    @{c_macro}_IMAGE_WIDTH = @{width},
    @{c_macro}_IMAGE_CHANNELS = @{channels},
    @{c_macro}_PIXELS = @{height} * @{width} * @{channels},
    @{c_macro}_CLASSES = @{classes_count},
    @{c_macro}_REASON_SIZE = @{reason_size}
};

/** Names of the classes, in the order of the logits. */
extern const char *const @{c_name}_classes[@{c_macro}_CLASSES];

/** What a picture shows. */
typedef struct {
    /** Before the softmax. */
    float logits[@{c_macro}_CLASSES];
    /** Between 0 and 1, their sum is 1. */
    float probabilities[@{c_macro}_CLASSES];
    /** Place of the largest logit: an index into the names. */
    int64_t label;
    /** 1 where the answer is to be doubted: the picture or the logits are unlike the training's; else 0. */
    int doubtful;
    /** Why, in words; empty where it is not. */
    char reason[@{c_macro}_REASON_SIZE];
} @{c_name}_result;

/** Classify one picture.
 *
 * @param pixels raw bytes row by row, @{channels_words}; @{polarity_words}
 * @param result is filled
 */
void @{c_name}_classify(const uint8_t pixels[@{c_macro}_PIXELS], @{c_name}_result *result);

#ifdef __cplusplus
}
#endif

#endif

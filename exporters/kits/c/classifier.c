#include "@{c_name}_classifier.h"

#include <string.h>

#include "guard.h"

/* Written by the code generator into network.c. */
void @{c_name}_network(const uint8_t images[1]@{c_image_dims}, float logits[1][@{classes_count}],
    float probabilities[1][@{classes_count}], int64_t label[1]);

const char *const @{c_name}_classes[@{c_macro}_CLASSES] = {
@{c_classes}
};

void @{c_name}_classify(const uint8_t pixels[@{c_macro}_PIXELS], @{c_name}_result *result) {
    uint8_t images[1]@{c_image_dims};
    float logits[1][@{c_macro}_CLASSES];
    float probabilities[1][@{c_macro}_CLASSES];
    int64_t label[1];
    memcpy(images, pixels, sizeof images);
    @{c_name}_network((const uint8_t(*)@{c_image_dims})images, logits, probabilities, label);
    memcpy(result->logits, logits, sizeof logits);
    memcpy(result->probabilities, probabilities, sizeof probabilities);
    result->label = label[0];
    result->doubtful = guard_judge(pixels, result->logits, (int)label[0], result->reason);
}

/* Which answers are to be doubted, by the thresholds of the model's card: C99 and C++17, nothing is allocated, no state. */
#ifndef @{c_macro}_GUARD_H
#define @{c_macro}_GUARD_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum {
    GUARD_REASON_SIZE = @{reason_size}, /* bytes of a sentence, the zero at its end too */
    GUARD_HEIGHT = @{height},
    GUARD_ROW = @{width} * @{channels},
    GUARD_STEP = @{channels},
    GUARD_PIXELS = GUARD_HEIGHT * GUARD_ROW,
    GUARD_CLASSES = @{classes_count},
    GUARD_HAS_DISTANCE = @{guard_has_distance},
    GUARD_FRAME = 2 /* rows and columns at each edge */
};

/* Mean logits of each class, and what brings the logits' scatter about them to unit covariance. */
static const double guard_centres[@{guard_size}][@{guard_size}] = {
@{guard_centres}
};
static const double guard_whitening[@{guard_size}][@{guard_size}] = {
@{guard_whitening}
};

/* How far the logits are from the centre of the class they name, in standard deviations of the training's (Mahalanobis). */
static double guard_distance(const float *logits, int label) {
    double sum = 0;
    int row;
    int column;
    for (row = 0; row < @{guard_size} && GUARD_HAS_DISTANCE; row++) {
        double scattered = 0;
        for (column = 0; column < @{guard_size}; column++) {
            scattered += guard_whitening[row][column] * ((double)logits[column] - guard_centres[label][column]);
        }
        sum += scattered * scattered;
    }
    return sqrt(sum);
}

/* 1 minus the correlation of neighbouring pixels: 0 is smooth, about 1 is noise; 1 where all are equal. */
static double guard_roughness(const uint8_t *pixels, double mean, double variance) {
    const long pairs = (long)GUARD_HEIGHT * (GUARD_ROW - GUARD_STEP) + (long)(GUARD_HEIGHT - 1) * GUARD_ROW;
    double covariance = 0;
    int at;
    if (variance < 1e-3 || pairs <= 0) {
        return 1;
    }
    for (at = 0; at < GUARD_PIXELS; at++) {
        const double apart = pixels[at] - mean;
        if (at % GUARD_ROW < GUARD_ROW - GUARD_STEP) {
            covariance += apart * (pixels[at + GUARD_STEP] - mean);
        }
        if (at + GUARD_ROW < GUARD_PIXELS) {
            covariance += apart * (pixels[at + GUARD_ROW] - mean);
        }
    }
    return 1 - covariance / (double)pairs / variance;
}

#define GUARD_CHECK(condition, ...) \
    if (condition) { \
        snprintf(reason, GUARD_REASON_SIZE, __VA_ARGS__); \
        return 1; \
    }

/* Return whether an answer is to be doubted, and write why; the first of the reasons counts, as where the card was made. */
static int guard_judge(const uint8_t *pixels, const float *logits, int label, char reason[GUARD_REASON_SIZE]) {
    double sum = 0;
    double squares = 0;
    double edge = 0;
    double strength = (double)logits[0];
    double margin = HUGE_VAL;
    double brightness, contrast, frame, roughness, distance;
    int in_frame = 0;
    int at;
    reason[0] = '\0';
    for (at = 0; at < GUARD_CLASSES; at++) {
        GUARD_CHECK(!isfinite(logits[at]), "the model answered NaN or infinity")
        strength = (double)logits[at] > strength ? (double)logits[at] : strength;
    }
    for (at = 0; at < GUARD_CLASSES; at++) {
        margin = at != label && strength - (double)logits[at] < margin ? strength - (double)logits[at] : margin;
    }
    for (at = 0; at < GUARD_PIXELS; at++) {
        const int row = at / GUARD_ROW;
        const int column = at % GUARD_ROW / GUARD_STEP;
        sum += pixels[at];
        squares += (double)pixels[at] * pixels[at];
        if (row < GUARD_FRAME || row >= GUARD_HEIGHT - GUARD_FRAME || column < GUARD_FRAME ||
            column >= GUARD_ROW / GUARD_STEP - GUARD_FRAME) {
            edge += pixels[at];
            in_frame++;
        }
    }
    brightness = sum / GUARD_PIXELS;
    contrast = sqrt(fmax(squares / GUARD_PIXELS - brightness * brightness, 0));
    frame = edge / in_frame;
    roughness = guard_roughness(pixels, brightness, contrast * contrast);
    distance = guard_distance(logits, label);
    (void)frame, (void)roughness, (void)distance, (void)margin; /* not every card has limits of all */
@{guard_checks}
    return 0;
}

#undef GUARD_CHECK
#endif

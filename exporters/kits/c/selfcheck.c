/* Replay the golden vectors of the card and write selfcheck.json. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "@{c_name}_classifier.h"
#include "golden.h"

int main(void) {
    static const uint8_t blank[@{c_macro}_PIXELS];
    @{c_name}_result result;
    double error = 0;
    double off = 0; /* the same of the probabilities */
    int is_right = 1;
    int is_doubted = 1; /* what the product doubts, and nothing else */
    int at;
    int place;
    clock_t start = clock();
    double milliseconds;
    FILE *stream;
    for (at = 0; at < GOLDEN_COUNT; at++) {
        double largest = golden_logits[at][0];
        double sum = 0;
        @{c_name}_classify(golden_images[at], &result);
        for (place = 1; place < @{c_macro}_CLASSES; place++)
            largest = golden_logits[at][place] > largest ? golden_logits[at][place] : largest;
        for (place = 0; place < @{c_macro}_CLASSES; place++)
            sum += exp(golden_logits[at][place] - largest);
        for (place = 0; place < @{c_macro}_CLASSES; place++) {
            const double difference = fabs((double)result.logits[place] - golden_logits[at][place]);
            const double share = exp(golden_logits[at][place] - largest) / sum;
            const double drift = fabs((double)result.probabilities[place] - share);
            error = difference <= error ? error : difference; /* this way round NaN stays */
            off = drift <= off ? off : drift;
            is_right = is_right && result.logits[place] <= result.logits[result.label];
        }
        is_doubted = is_doubted && (golden_doubts[at] < 0 || golden_doubts[at] == result.doubtful);
    }
    milliseconds = GOLDEN_COUNT ? 1e3 * (double)(clock() - start) / CLOCKS_PER_SEC / GOLDEN_COUNT : 0;
    @{c_name}_classify(blank, &result);
    is_doubted = is_doubted && (golden_doubts[GOLDEN_COUNT] < 0 || golden_doubts[GOLDEN_COUNT] == result.doubtful);
    is_right = is_right && is_doubted && error <= GOLDEN_TOLERANCE && off <= GOLDEN_PROBABILITY_TOLERANCE;
    stream = fopen("selfcheck.json", "w");
    if (stream == NULL) {
        fputs("selfcheck.json cannot be written\n", stderr);
        return 1;
    }
    fprintf(stream,
        "{\"runtime\": \"plain-c\", \"version\": \"@{cgen_version}\", \"status\": \"%s\", \"vectors\": %d,\n"
        " \"max_abs_logit_error\": %.9g, \"ms_per_image\": %.6g, \"reason\": \"%s\"}\n",
        GOLDEN_COUNT == 0 ? "not-run" : is_right ? "pass" : "fail", GOLDEN_COUNT, error, milliseconds,
        is_doubted ? "" : "other vectors are doubted here than where the kit was made");
    fclose(stream);
    printf("%s: %d vectors, largest logit error %.3g, %.3g ms a picture\n", is_right ? "pass" : "FAIL", GOLDEN_COUNT,
        error, milliseconds);
    return is_right ? 0 : 1;
}

/* Say what a picture shows: ./classify picture.@{pnm} ..., each a binary @{pnm_kind} of @{width} x @{height} with 255 levels. */
#include <stdio.h>
#include <stdlib.h>

#include "@{c_name}_classifier.h"

/* A number of the header, after white space and comments; -1 where there is none. */
static long read_number(FILE *stream) {
    int character = fgetc(stream);
    long number = 0;
    while (character == ' ' || character == '\n' || character == '\r' || character == '\t' || character == '#') {
        while (character == '#' || (character != '\n' && character > ' ')) {
            do {
                character = fgetc(stream);
            } while (character != '\n' && character != EOF);
        }
        character = fgetc(stream);
    }
    if (character < '0' || character > '9') {
        return -1;
    }
    for (; character >= '0' && character <= '9'; character = fgetc(stream)) {
        number = 10 * number + (character - '0');
        if (number > 65535) {
            return -1;
        }
    }
    return number;
}

/* Whether a file was read; what is wrong with it is told. */
static int read_picture(const char *path, uint8_t pixels[@{c_macro}_PIXELS]) {
    FILE *stream = fopen(path, "rb");
    size_t count = 0;
    if (stream == NULL) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        return 0;
    }
    if (fgetc(stream) != 'P' || fgetc(stream) != '@{pnm_magic}') {
        fprintf(stderr, "%s: not a binary @{pnm_kind}\n", path);
    } else {
        const long width = read_number(stream);
        const long height = read_number(stream);
        const long levels = read_number(stream);
        if (width != @{c_macro}_IMAGE_WIDTH || height != @{c_macro}_IMAGE_HEIGHT || levels != 255) {
            fprintf(stderr, "%s: %ld x %ld, %ld levels; expected @{width} x @{height}, 255\n", path, width, height, levels);
        } else {
            count = fread(pixels, 1, @{c_macro}_PIXELS, stream);
            if (count != @{c_macro}_PIXELS) {
                fprintf(stderr, "%s: ends after %lu of %d pixels' bytes\n", path, (unsigned long)count, @{c_macro}_PIXELS);
            }
        }
    }
    fclose(stream);
    return count == @{c_macro}_PIXELS;
}

int main(int argc, char **argv) {
    static uint8_t pixels[@{c_macro}_PIXELS];
    @{c_name}_result result;
    int code = EXIT_SUCCESS;
    int at;
    if (argc < 2) {
        fprintf(stderr, "usage: %s picture.@{pnm} ...\n", argv[0]);
        return 2;
    }
    for (at = 1; at < argc; at++) {
        if (!read_picture(argv[at], pixels)) {
            code = 3;
            continue;
        }
        @{c_name}_classify(pixels, &result);
        printf("%s\t%s\t%.4f", argv[at], @{c_name}_classes[result.label], (double)result.probabilities[result.label]);
        printf(result.doubtful ? "\tdoubtful: %s\n" : "%s\n", result.reason);
    }
    return code;
}

/* Pictures of the card and what the network has to answer, in float64. */
#ifndef GOLDEN_H
#define GOLDEN_H
#define GOLDEN_COUNT @{golden_count}
#define GOLDEN_TOLERANCE @{golden_tolerance}
#define GOLDEN_PROBABILITY_TOLERANCE @{golden_probability_tolerance}
/* Whether the product doubts each of them, and behind them a picture of zeros; -1 where rounding may decide. */
static const int golden_doubts[] = {@{golden_doubts}};
static const unsigned char golden_images[][@{c_pixels}] = {
@{golden_images}
};
static const double golden_logits[][@{classes_count}] = {
@{golden_logits}
};
#endif

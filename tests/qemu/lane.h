/* The golden vectors as the generated cases.c gives them. */
#ifndef LANE_H
#define LANE_H
#include "asc_frontend.h"
#include "asc_model.h"

typedef struct {
    const char *name;
    const asc_model *model;
} lane_net;

typedef struct {
    const char *name;
    const asc_fe *fe;
    uint32_t crc[3]; /* of all rows: log2, q, level */
} lane_front_end;

extern const lane_net lane_nets[];
extern const lane_front_end lane_front_ends[];
extern const uint32_t lane_net_count, lane_front_end_count, lane_vectors_a_net, lane_sample_count;
extern const uint8_t lane_vectors[]; /* for each net, lane_vectors_a_net times: input, expected output */
extern const int16_t lane_samples[];

#endif

// What tunproxy_get_stats() and tunproxy_get_flows() tell.
#pragma once

#include <cstddef>

#include "bindings/c/instance.h"
#include "bindings/c/tunproxy.h"

namespace tunproxy::c_api {

/// As far as stats.size goes. All counters are 0 while it does not run.
void fill(Instance& instance, tunproxy_stats& stats);
/// How many flows there are; the first `capacity` of them are in `flows`, whose first element says
/// how large each is.
size_t fill(Instance& instance, tunproxy_flow* flows, size_t capacity);

}  // namespace tunproxy::c_api

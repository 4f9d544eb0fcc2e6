// In place of metrics_text.cc, in builds without Prometheus' library.
#include "core/control/report.h"

namespace tunproxy::control {

bool has_metrics() {
  return false;
}

std::string metrics_text(const TunnelStatus&, const account::Account&) {
  return {};
}

}  // namespace tunproxy::control

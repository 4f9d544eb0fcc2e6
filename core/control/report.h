// The status as JSON, for the control socket, and as Prometheus' text.
#pragma once

#include <string>

#include "core/account/account.h"
#include "core/base/time.h"
#include "core/control/status.h"

namespace tunproxy::control {

struct ReportOptions {
  static constexpr size_t kMaxFlows = 1000;

  bool show_hosts = false;       ///< where flows go
  size_t max_flows = kMaxFlows;  ///< the newest; how many there are is told all the same
};

/// One line of JSON: {"tunnel": …, "totals": …, "flows": […], "ended": […]}, as docs/status.md
/// describes it.
std::string status_json(const TunnelStatus& tunnel, const account::Account& account, Instant now,
                        const ReportOptions& options);
/// False: this build was made without Prometheus' library, and metrics_text() is empty.
bool has_metrics();
/// The text format of Prometheus, version 0.0.4. Never says where flows go.
std::string metrics_text(const TunnelStatus& tunnel, const account::Account& account);

}  // namespace tunproxy::control

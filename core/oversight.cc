#include "core/oversight.h"

#include <utility>

#include "core/base/joined.h"
#include "core/base/log.h"
#include "core/rule_source.h"

namespace tunproxy {
namespace {

io::DialOptions dial_options(io::PrepareSocket prepare) {
  io::DialOptions options;
  options.prepare = std::move(prepare);
  options.for_flow = true;
  return options;
}

}  // namespace

Result<std::unique_ptr<Oversight>> Oversight::create(io::Loop& loop, const Config& config,
                                                     const Platform& platform,
                                                     const control::StatusSource& source) {
  auto rules = make_rules(config.rules);
  if (!rules) return rules.error();
  std::unique_ptr<Oversight> oversight(new Oversight(loop, platform.prepare_socket));
  oversight->keeper_.set_rules(std::move(*rules));
  if (auto opened = oversight->open_log(config.account); !opened) return opened.error();
  if (auto listens = oversight->listen(config.account, platform.control_socket, source); !listens)
    return listens.error();
  return oversight;
}

Oversight::Oversight(io::Loop& loop, io::PrepareSocket prepare)
    : loop_(loop),
      account_(loop),
      keeper_(loop, account_),
      direct_(loop, dial_options(prepare)),
      direct_datagrams_(loop, std::move(prepare)) {
  keeper_.set_direct(&direct_, &direct_datagrams_);
}

Result<void> Oversight::open_log(const AccountSettings& settings) {
  if (settings.access_log.empty()) return {};
  auto log = account::AccessLog::open(loop_, {settings.access_log, settings.access_log_hosts});
  if (!log) return log.error();
  log_ = std::move(*log);
  account_.on_end([this](const account::Flow& flow, const account::Ending& ending) {
    log_->write(flow, ending);
  });
  return {};
}

// A control socket that nobody asked for may be missing.
Result<void> Oversight::listen(const AccountSettings& settings, bool unasked,
                               const control::StatusSource& source) {
  const bool asked = !settings.control.empty();
  const std::string path = asked     ? settings.control
                           : unasked ? control::default_control_path()
                                     : std::string();
  if (!path.empty()) {
    auto control = control::ControlServer::listen(loop_, path, source, account_);
    if (!control && asked) return control.error();
    if (!control) log::info("`tunproxy status` will find nothing: {}", control.error().message);
    if (control) control_ = std::move(*control);
  }
  if (!settings.metrics) return {};
  auto metrics = control::MetricsServer::listen(loop_, *settings.metrics, source, account_);
  if (!metrics) return metrics.error();
  metrics_ = std::move(*metrics);
  return {};
}

void Oversight::describe(control::TunnelStatus& status) const {
  if (log_) status.access_log_lost = log_->lost();
  const io::DirectDatagrams::Drops& drops = direct_datagrams_.drops();
  status.add_drops("direct/waiting", drops.waiting);
  status.add_drops("direct/unresolved", drops.unresolved);
  status.add_drops("direct/no_socket", drops.no_socket);
  status.add_drops("direct/unsent", drops.unsent);
}

Result<void> Oversight::reload(const RuleSettings& settings) {
  return joined({reload_rules(settings), reopen_log()});
}

Result<void> Oversight::reload_rules(const RuleSettings& settings) {
  auto rules = make_rules(settings);
  if (!rules) {
    return Error{rules.error().code, "the rules stay as they were: " + rules.error().message};
  }
  log::info("the rules are read again: {} rules", (*rules)->rules().size());
  keeper_.set_rules(std::move(*rules));
  return {};
}

Result<void> Oversight::reopen_log() {
  const Result<void> reopened = log_ ? log_->reopen() : Result<void>();
  if (reopened) return {};
  return Error{reopened.error().code,
               "the access log stays where it was: " + reopened.error().message};
}

}  // namespace tunproxy

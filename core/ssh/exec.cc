#include "core/ssh/exec.h"

#include <algorithm>
#include <utility>

namespace tunproxy::ssh {

Exec::Exec(ChannelMux& mux, std::string command, Duration timeout, net::Done<ExecResult> done)
    : mux_(mux),
      slot_(nullptr),
      command_(std::move(command)),
      done_(std::move(done)),
      deliver_(mux.loop(),
               [this] {
                 auto outcome = std::move(*outcome_);
                 std::exchange(done_, nullptr)(std::move(outcome));  // may destroy this
               }),
      timer_(mux.loop(), [this] {
        settle(Error{ErrorCode::timed_out, "the command at the server did not end in time"});
      }) {
  slot_ = mux.open_session(this);
  timer_.start(timeout);
  if (slot_ != nullptr) return;
  settle(mux.error() != nullptr ? Error{ErrorCode::host_unreachable, mux.error()->message}
                                : Error{ErrorCode::limit, "too many channels"});
}

Exec::~Exec() {
  if (slot_ != nullptr) mux_.release(*slot_);
}

void Exec::on_open() {
  if (mux_.request_exec(*slot_, command_)) return;
  settle(Error{ErrorCode::limit, "the command is too long for an SSH connection"});
}

void Exec::on_open_failed(const Error& error) {
  slot_ = mux_.take_standing_session(this);
  if (slot_ != nullptr) return on_open();
  const ErrorCode code =
      error.code == ErrorCode::timed_out ? ErrorCode::timed_out : ErrorCode::not_allowed;
  settle(Error{code, "the SSH server gives no session: " + error.message});
}

void Exec::on_reply(bool success) {
  if (!success) {
    settle(Error{ErrorCode::not_allowed, "the SSH server does not run commands"});
  }
}

// The window is as large as the output may be, so that nothing needs to be granted.
void Exec::on_data(Bytes bytes, Buffer&) {
  static_assert(kMaxOutput <= WindowPolicy::kInitial);
  const size_t room = kMaxOutput - result_.output.size();
  result_.output += as_text(bytes.first(std::min(room, bytes.size())));
  if (result_.output.size() == kMaxOutput) settle(result_);
}

void Exec::on_close() {
  slot_ = nullptr;
  settle(result_);
}

void Exec::on_lost(const Error& error) {
  slot_ = nullptr;
  settle(error);
}

// The first outcome counts.
void Exec::settle(Result<ExecResult> outcome) {
  if (outcome_ || !done_) return;
  timer_.stop();
  outcome_ = std::move(outcome);
  deliver_.schedule();
}

}  // namespace tunproxy::ssh

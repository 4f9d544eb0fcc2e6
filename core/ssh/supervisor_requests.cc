// The Supervisor's flows: who waits for which session.
#include <algorithm>
#include <utility>

#include "core/ssh/supervisor.h"

namespace tunproxy::ssh {

using net::Attempt;

template <typename T>
std::unique_ptr<Attempt> Supervisor::ask(bool repeatable, typename RequestFor<T>::Start start,
                                         net::Done<T> done) {
  auto request =
      std::make_unique<RequestFor<T>>(loop_, repeatable, std::move(start), std::move(done));
  place(*request);
  return request;
}

std::unique_ptr<Attempt> Supervisor::connect(const Target& target, StreamDone done) {
  return ask<std::unique_ptr<net::Stream>>(
      true,
      [target](Session& session, StreamDone then) {
        return session.connect(target, std::move(then));
      },
      std::move(done));
}

std::unique_ptr<Attempt> Supervisor::Expedited::connect(const Target& target, StreamDone done) {
  return supervisor_.ask<std::unique_ptr<net::Stream>>(
      true,
      [target](Session& session, StreamDone then) {
        return session.expedited().connect(target, std::move(then));
      },
      std::move(done));
}

std::unique_ptr<Attempt> Supervisor::bind(const net::Expected& expected, net::OnBound on_bound,
                                          net::Done<net::Accepted> done) {
  return ask<net::Accepted>(
      false,
      [expected, on_bound = std::move(on_bound)](Session& session, net::Done<net::Accepted> then) {
        return session.bind(expected, on_bound, std::move(then));
      },
      std::move(done));
}

std::unique_ptr<Attempt> Supervisor::run(std::string command, StreamDone done) {
  return ask<std::unique_ptr<net::Stream>>(
      true,
      [command = std::move(command)](Session& session, StreamDone then) {
        return session.run(command, std::move(then));
      },
      std::move(done));
}

std::unique_ptr<Attempt> Supervisor::exec(std::string command, net::Done<ExecResult> done) {
  return ask<ExecResult>(
      false,
      [command = std::move(command)](Session& session, net::Done<ExecResult> then) {
        return session.exec(command, std::move(then));
      },
      std::move(done));
}

void Supervisor::place(Request& request) {
  if (line_) {
    line_->liveness->used();
    return request.serve(served_, *line_->session);
  }
  const bool hopeless = state_ == State::failed || state_ == State::stopped;
  if (hopeless || waiting_.size() >= kMaxWaiting) {
    return request.fail({ErrorCode::host_unreachable, hopeless
                                                          ? "the tunnel has failed"
                                                          : "too many flows wait for the tunnel"});
  }
  request.wait(waiting_, options_.wait_for_session,
               {ErrorCode::host_unreachable, "the tunnel is down"});
  const bool idle = connector_.state() == Connector::State::idle;
  if (paused_ && state_ == State::reconnecting && idle && !pause_.active()) {
    pause_.start(next_try_ - loop_.now());
  }
}

// What a session was asked and did not answer waits for the next one.
void Supervisor::take_back(const Session* session) {
  std::vector<Request*> taken;
  for (Request* request : served_) {
    if (request->session() == session && request->repeatable()) taken.push_back(request);
  }
  for (Request* request : taken) {
    request->wait(waiting_, options_.wait_for_session,
                  {ErrorCode::host_unreachable, "the tunnel is down"});
  }
}

void Supervisor::serve_waiting() {
  if (line_ && !waiting_.empty()) line_->liveness->used();
  while (line_ && !waiting_.empty()) waiting_.front()->serve(served_, *line_->session);
}

void Supervisor::fail_waiting(const Error& error) {
  while (!waiting_.empty()) waiting_.front()->fail(error);
}

void Supervisor::hand_over(Supervisor& other) {
  if (!sound() && line_) take_back(line_->session.get());
  while (!waiting_.empty()) {
    Request* const request = waiting_.front();
    request->move_to(other.waiting_);
  }
  other.serve_waiting();
  serve_waiting();
}

SessionLoad Supervisor::load() const {
  SessionLoad sum = line_ ? line_->session->load() : SessionLoad{};
  for (const auto& line : leaving_) sum += line->session->load();
  return sum;
}

Supervisor::Counters Supervisor::counters() const {
  Counters counters = past_;
  const SessionLoad now = load();
  counters.received += now.received;
  counters.sent += now.sent;
  return counters;
}

Supervisor::Status Supervisor::status() const {
  const SessionLoad now = load();
  Status status{past_, state_, sound(), now.channels, 0ms, 0ms};
  status.received += now.received;
  status.sent += now.sent;
  if (line_) {
    status.round_trip = line_->liveness->round_trip();
    status.online_for = loop_.now() - online_since_;
  }
  return status;
}

}  // namespace tunproxy::ssh

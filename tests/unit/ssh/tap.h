// A tap on the way to a server: it can cut connections and refuse new ones.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/io/tcp.h"
#include "core/net/relay.h"

namespace tunproxy::testing {

class Tap {
 public:
  Tap(io::Loop& loop, uint16_t to) : loop_(loop), to_({*IpAddress::parse("127.0.0.1"), to}) {
    listener_ = std::move(*io::TcpListener::listen(
        loop, {*IpAddress::parse("127.0.0.1"), 0},
        [this](std::unique_ptr<io::TcpStream> client) { forward(std::move(client)); }));
  }

  Target address() const { return Target(listener_->local()); }
  size_t connections() const { return taken_; }
  size_t refusals() const { return refused_; }
  /// From now on connections are reset at once, or closed after `words`.
  void refuse(bool on, std::string words = "") {
    refusing_ = on;
    words_ = std::move(words);
  }
  void cut() { relays_.clear(); }
  /// Cuts the nth of the connections that there ever were.
  void cut(size_t n) { relays_.at(n).reset(); }

 private:
  void forward(std::unique_ptr<io::TcpStream> client) {
    if (refusing_) {
      ++refused_;
      if (words_.empty()) return;
      client->write({reinterpret_cast<const uint8_t*>(words_.data()), words_.size()});
      client->finish();
      waiting_.push_back(std::move(client));
      return;
    }
    ++taken_;
    waiting_.push_back(std::move(client));
    dials_.push_back(
        io::dial(loop_, Target(to_), {}, [this, at = waiting_.size() - 1](auto server) {
          relays_.push_back(std::make_unique<net::Relay>(std::move(waiting_[at]),
                                                         std::move(*server), [](const Error*) {}));
        }));
  }

  io::Loop& loop_;
  Endpoint to_;
  size_t taken_ = 0;
  size_t refused_ = 0;
  bool refusing_ = false;
  std::string words_;
  std::vector<std::unique_ptr<io::TcpStream>> waiting_;
  std::vector<std::unique_ptr<net::Attempt>> dials_;
  std::vector<std::unique_ptr<net::Relay>> relays_;
  std::unique_ptr<io::TcpListener> listener_;
};

}  // namespace tunproxy::testing

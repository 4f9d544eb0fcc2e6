// A UDP socket of a test on this machine that keeps what it receives.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/udp_socket.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {

class UdpPeer {
 public:
  UdpPeer(io::Loop& loop, std::string_view address) : loop_(loop) {
    auto socket = io::UdpSocket::bind(loop, {*IpAddress::parse(address), 0},
                                      [this](const Endpoint& from, Bytes wire) {
                                        got.push_back({from, ByteVector(wire.begin(), wire.end())});
                                      });
    EXPECT_TRUE(socket) << socket.error().message;
    socket_ = std::move(*socket);
  }

  struct Received {
    Endpoint from;
    ByteVector wire;
  };

  Endpoint local() const { return socket_->local(); }
  void send(const Endpoint& to, const ByteVector& wire) { EXPECT_TRUE(socket_->send(to, wire)); }
  bool receives(size_t count) {
    return run_until(loop_, [&] { return got.size() >= count; });
  }

  std::vector<Received> got;

 private:
  io::Loop& loop_;
  std::unique_ptr<io::UdpSocket> socket_;
};

}  // namespace tunproxy::testing

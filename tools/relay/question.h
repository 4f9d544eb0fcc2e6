// Question: one DNS message on its way to the resolvers of this machine (RFC 1035 §4.2): over UDP
// with an id and a port of its own, over TCP where the answer was truncated.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/address.h"
#include "core/dns/message.h"
#include "core/io/timer.h"
#include "core/io/udp_socket.h"

namespace tunproxy::relay {

/// Destroying it cancels.
class Question {
 public:
  static constexpr Duration kTryTime = 1500ms;  ///< then the next resolver is asked
  static constexpr unsigned kTries = 4;

  /// `done` is called once, from the loop, with the answer under the query's id; an empty one if no
  /// resolver answered. REQUIRES: `resolvers` is not empty, `query` has a header
  Question(io::Loop& loop, std::vector<Endpoint> resolvers, Bytes query,
           std::function<void(Bytes answer)> done);
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  ~Question();

 private:
  void ask();
  void ask_tcp();
  void on_connected(std::unique_ptr<io::TcpStream> stream);
  void on_progress();
  void on_answer(Bytes answer, bool tcp);
  void settle(Bytes answer);
  bool fits(Bytes answer) const;
  void end_try();

  io::Loop& loop_;
  const std::vector<Endpoint> resolvers_;
  ByteVector query_;
  const uint16_t id_;  // the client's
  std::function<void(Bytes)> done_;
  unsigned tries_ = 0;
  ByteVector last_;  // an answer that is better than none
  std::unique_ptr<io::UdpSocket> socket_;
  std::unique_ptr<net::Attempt> dialing_;
  std::unique_ptr<io::TcpStream> stream_;
  ByteVector outgoing_;
  ByteVector incoming_;
  io::Timer timer_;
};

}  // namespace tunproxy::relay

// Helper: one client's session, over stdin and stdout. See core/udp/relay_wire.h for the protocol.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/rules/far_rule.h"
#include "core/udp/relay_queue.h"
#include "core/udp/relay_wire.h"
#include "tools/relay/association.h"
#include "tools/relay/names.h"
#include "tools/relay/options.h"
#include "tools/relay/question.h"

namespace tunproxy::relay {

/// Lives in the loop's thread; stops the loop when stdin has ended, stdout is gone, or the client
/// broke the protocol.
class Helper {
 public:
  static constexpr size_t kMaxQuestions = 128;  ///< under way; others are answered with nothing

  struct Counters {
    uint64_t sent = 0;
    uint64_t received = 0;
    udp::Stats drops;
  };

  /// REQUIRES: both descriptors are non-blocking and can be waited for
  Helper(io::Loop& loop, const Options& options, int in, int out);

  /// Why it ended, if the client was wrong.
  const std::optional<std::string>& complaint() const { return complaint_; }
  Counters counters() const;

 private:
  void on_input();
  size_t take(Bytes bytes);
  size_t skip_program(Bytes bytes);
  void on_message(const udp::RelayMessage& message);
  void greet(const udp::RelayMessage& message);
  void handle(uint32_t id, const udp::UdpAssociate& associate);
  void handle(uint32_t id, const udp::UdpPacket& packet);
  void handle(uint32_t id, const udp::UdpAssociateClosed& closed);
  void handle(uint32_t id, const udp::Ping& ping);
  void handle(uint32_t id, const udp::Resolve& resolve);
  void handle(uint32_t id, const udp::OpenConnection& open);
  void handle(uint32_t id, const udp::Rules& part);
  template <typename Other>
  void handle(uint32_t, const Other&) {}

  void send(Association& association, const Endpoint& to, Bytes payload);
  void send_now(uint32_t id, const Endpoint& to, Bytes payload);
  void flush_sockets();
  bool denied(const Endpoint& to) const;
  std::vector<Endpoint> resolvers() const;
  void say(uint32_t id, udp::RelayBody body);
  void flush();
  void sweep();
  void watch_drops();
  void tell_drops();
  void give_up(const std::string& complaint);
  void end();

  io::Loop& loop_;
  const Options options_;
  const int in_;
  const int out_;
  std::optional<size_t> skip_;  // bytes of the program that are still to come
  bool greeted_ = false;
  bool ended_ = false;
  std::optional<std::string> complaint_;
  std::unique_ptr<uint8_t[]> input_;
  size_t filled_ = 0;
  udp::RelayQueue queue_;
  std::unordered_map<uint32_t, std::unique_ptr<Association>> associations_;
  std::vector<Association*> to_flush_;
  std::unordered_map<uint64_t, std::unique_ptr<Question>> questions_;
  uint64_t last_question_ = 0;
  const rules::RuleSet owner_rules_;  // of --deny
  rules::RuleSet client_rules_;
  std::vector<rules::FarRule> coming_rules_;  // parts of those that are not in force yet
  Names names_;
  Counters counters_;
  udp::Stats told_;
  io::Task flush_;
  io::Timer sweep_;
  io::Timer tell_drops_;
  io::FdWatcher reader_;
  io::FdWatcher writer_;
};

}  // namespace tunproxy::relay

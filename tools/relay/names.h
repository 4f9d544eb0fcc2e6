// Names: looks up the names that datagrams go to, and holds the datagrams meanwhile.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::relay {

class Names {
 public:
  static constexpr size_t kMaxNames = 256;
  static constexpr size_t kMaxPerName = 16;           ///< datagrams that wait; the oldest goes
  static constexpr size_t kMaxWaiting = 1024 * 1024;  ///< bytes that wait; further ones are dropped
  static constexpr Duration kLife = 60s;
  static constexpr Duration kFailureLife = 1s;

  /// `deliver` sends a datagram whose destination is known now; `drop` hears of those that will
  /// never be sent.
  Names(io::Loop& loop,
        std::function<void(uint32_t association, const Endpoint& to, Bytes payload)> deliver,
        std::function<void()> drop);

  /// Delivers at once if the name is known, later from the loop if not.
  void send(uint32_t association, const Target& to, Bytes payload);

 private:
  struct Waiting {
    uint32_t association = 0;
    uint16_t port = 0;
    ByteVector payload;
  };
  struct Entry {
    std::unique_ptr<net::Attempt> lookup;  // while it is under way
    std::unique_ptr<IpAddress> address;    // nullptr: there is none
    Instant until;
    std::deque<Waiting> waiting;
  };

  bool make_room();
  void wait(Entry& entry, Waiting datagram);
  void on_found(const std::string& name, const Result<std::vector<Endpoint>>& found);

  io::Loop& loop_;
  std::function<void(uint32_t, const Endpoint&, Bytes)> deliver_;
  std::function<void()> drop_;
  std::unordered_map<std::string, Entry> entries_;
  size_t waiting_ = 0;  // bytes
};

}  // namespace tunproxy::relay

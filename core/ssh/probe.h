// Probe: asks the server for a sign of life.
#pragma once

#include "core/io/delivery.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/global_request.h"

namespace tunproxy::ssh {

/// A global request that every server answers at once, most of them with a refusal.
class Probe final : public net::Attempt, private RequestUser {
 public:
  Probe(ChannelMux& mux, net::Done<void> done);
  ~Probe() override { mux_.forget(this); }

 private:
  void on_request_reply(bool, MessageReader) override { delivery_.settle({}); }
  void on_request_lost(const Error& error) override { delivery_.settle(error); }

  ChannelMux& mux_;
  io::Delivery<void> delivery_;
};

}  // namespace tunproxy::ssh

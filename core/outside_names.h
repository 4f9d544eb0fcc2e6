// OutsideNames: looks up where the servers are that carry the tunnel, beside the tunnel.
#pragma once

#include <memory>

#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/way_out.h"

namespace tunproxy {

/// Once the machine's resolver is behind the tunnel it cannot tell where a server went that the
/// tunnel is to be made to. So the resolvers that the machine had are asked, for that one name, by
/// sockets that Platform::prepare_socket leads past the tunnel. Without such sockets nothing is in
/// the tunnel's way, and a program that looks names up itself does so here as well. Lives in one
/// loop thread.
class OutsideNames {
 public:
  OutsideNames(io::Loop& loop, const Platform& platform);
  OutsideNames(const OutsideNames&) = delete;
  OutsideNames& operator=(const OutsideNames&) = delete;
  ~OutsideNames();

  /// For DialOptions::look_up_again; empty where nobody can be asked. REQUIRES: this outlives its
  /// attempts.
  io::LookUp look_up();

 private:
  struct Asked;

  io::Loop& loop_;
  const bool in_the_way_;         // the tunnel, for the machine's resolver
  std::unique_ptr<Asked> asked_;  // beside it
};

}  // namespace tunproxy

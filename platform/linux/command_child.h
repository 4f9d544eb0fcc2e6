// The child's half of Command: what it does between fork() and exec(). Private to platform/linux.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "platform/linux/command.h"

namespace tunproxy::linux_host {

/// The child's one message, with the TUN's descriptor attached if it succeeded.
struct ChildReport {
  bool ok = false;
  ErrorCode code = ErrorCode::general;
  bool vnet_header = false;
  bool ipv6 = false;
  char message[480] = {};
};

/// REQUIRES: called in a just forked child of `parent`. `channel` is a SOCK_SEQPACKET socket to it.
[[noreturn]] void run_child(int channel, pid_t parent, const CommandOptions& options);

}  // namespace tunproxy::linux_host

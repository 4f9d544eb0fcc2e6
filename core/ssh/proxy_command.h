// ProxyCommand: a way to the SSH server that is a command's standard input and output.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/io/child.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::ssh {

struct ProxyCommandOptions {
  std::string command;       ///< as in ssh_config: for the shell, with tokens
  std::string user;          ///< for %r: the user at the server
  std::string name;          ///< for %n: the server as it was asked for; empty: as %h
  io::PrepareChild prepare;  ///< of the process; may be empty
};

/// The command with %h, %n, %p, %r and %% replaced, as ssh does: without quotes. Error usage: an
/// unknown token; a host or a user that would mean something to the shell or look like an option.
Result<std::string> expand_proxy_command(const ProxyCommandOptions& options, const Target& target);

/// One process for each connection, by `sh -c "exec COMMAND"`; it ends with the stream. A command
/// that must ask cannot: it has no terminal.
class ProxyCommand final : public net::Proxy {
 public:
  /// REQUIRES: `loop` outlives it.
  ProxyCommand(io::Loop& loop, ProxyCommandOptions options)
      : loop_(loop), options_(std::move(options)) {}

  /// `done` gets the stream as soon as the process runs: nothing tells when it has connected. Why
  /// it could not is the stream's error. Error usage: as above, or it cannot be started.
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

 private:
  io::Loop& loop_;
  const ProxyCommandOptions options_;
};

}  // namespace tunproxy::ssh

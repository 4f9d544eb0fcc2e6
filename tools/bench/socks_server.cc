// socks_server: a plain SOCKS5 server for measurements: socks5::Server over io::DirectProxy.
//
//   socks_server ADDRESS:PORT
#include <csignal>
#include <cstdio>

#include "core/io/direct_proxy.h"
#include "core/socks5/server.h"

int main(int argc, char** argv) {
  using namespace tunproxy;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s ADDRESS:PORT\n", argv[0]);
    return 2;
  }
  const auto at = Endpoint::parse(argv[1]);
  if (!at) {
    std::fprintf(stderr, "%s\n", at.error().message.c_str());
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  io::Loop loop;
  io::DirectProxy direct(loop, {});
  const auto server = socks5::Server::listen(loop, *at, direct);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  loop.run();
}

#include "core/io/direct_proxy.h"

#include <utility>

namespace tunproxy::io {

std::unique_ptr<net::Attempt> DirectProxy::connect(const Target& target,
                                                   net::Done<std::unique_ptr<net::Stream>> done) {
  return dial(loop_, target, options_, [done = std::move(done)](auto stream) {
    if (stream) {
      done(std::unique_ptr<net::Stream>(std::move(*stream)));
    } else {
      done(stream.error());
    }
  });
}

}  // namespace tunproxy::io

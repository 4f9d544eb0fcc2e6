#include "core/io/direct_proxy.h"

#include <utility>

#include "core/io/direct_bind.h"

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

std::unique_ptr<net::Attempt> DirectProxy::bind(const net::Expected& expected,
                                                net::OnBound on_bound,
                                                net::Done<net::Accepted> done) {
  return std::make_unique<DirectBind>(loop_, expected, options_.prepare, std::move(on_bound),
                                      std::move(done));
}

}  // namespace tunproxy::io

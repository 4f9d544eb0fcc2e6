// DirectBind: waits for one connection to this machine, for DirectProxy::bind().
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/io/delivery.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

class DirectBind final : public net::Attempt {
 public:
  DirectBind(Loop& loop, const net::Expected& expected, PrepareSocket prepare,
             net::OnBound on_bound, net::Done<net::Accepted> done);

 private:
  void listen(std::vector<Endpoint> from);
  void accept(std::unique_ptr<TcpStream> stream);
  bool expects(const IpAddress& peer) const;

  Loop& loop_;
  PrepareSocket prepare_;
  net::OnBound on_bound_;
  std::unique_ptr<net::Attempt> lookup_;
  const std::function<bool(const IpAddress& peer)> may_come_;
  std::vector<Endpoint> from_;
  std::unique_ptr<TcpListener> listener_;
  Endpoint listening_;
  Task bound_;
  Delivery<net::Accepted> delivery_;
};

}  // namespace tunproxy::io

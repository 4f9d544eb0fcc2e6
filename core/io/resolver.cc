#include "core/io/resolver.h"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <uv.h>

#include <utility>

namespace tunproxy::io {
namespace {

class Lookup;

struct Request {
  uv_getaddrinfo_t uv{};
  Lookup* lookup = nullptr;
};

class Lookup final : public net::Attempt {
 public:
  Lookup(Loop& loop, Target target, net::Done<std::vector<Endpoint>> done)
      : target_(std::move(target)), done_(std::move(done)), answer_(loop, [this] { answer(); }) {
    if (target_.is_name() && loop.lookup()) {
      ask(loop, loop.lookup());
    } else if (target_.is_name()) {
      ask(loop);
    } else {
      finish(std::vector<Endpoint>{{target_.address(), target_.port()}});
    }
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() override {
    if (request_ == nullptr) return;
    request_->lookup = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
  }

 private:
  void ask(Loop& loop) {
    request_ = new Request{{}, this};
    request_->uv.data = request_;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    const int status = uv_getaddrinfo(loop.handle(), &request_->uv, on_answer,
                                      target_.name().c_str(), nullptr, &hints);
    if (status != 0) {
      delete std::exchange(request_, nullptr);
      fail(status);
    }
  }

  void ask(Loop& loop, const Loop::Lookup& lookup) {
    auto found = std::make_shared<Result<std::vector<IpAddress>>>(std::vector<IpAddress>{});
    work_ = loop.work([found, lookup, name = target_.name()] { *found = lookup(name); },
                      [this, found] { take(std::move(*found)); });
  }

  void take(Result<std::vector<IpAddress>> found) {
    if (!found) return finish(found.error());
    if (found->empty()) return fail(UV_EAI_NODATA);
    std::vector<Endpoint> endpoints;
    for (const IpAddress& address : *found) endpoints.push_back({address, target_.port()});
    finish(std::move(endpoints));
  }

  static void on_answer(uv_getaddrinfo_t* uv, int status, addrinfo* found) {
    const std::unique_ptr<Request> request(static_cast<Request*>(uv->data));
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, uv_freeaddrinfo);
    Lookup* lookup = request->lookup;
    if (lookup == nullptr) return;
    lookup->request_ = nullptr;
    std::vector<Endpoint> endpoints;
    for (const addrinfo* entry = found; status == 0 && entry != nullptr; entry = entry->ai_next) {
      if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
      endpoints.push_back({Endpoint::from(entry->ai_addr).address, lookup->target_.port()});
    }
    if (endpoints.empty()) {
      lookup->fail(status == 0 ? UV_EAI_NODATA : status);
    } else {
      lookup->finish(std::move(endpoints));
    }
  }

  void fail(int status) {
    finish(Error{ErrorCode::host_unreachable,
                 fmt::format("cannot resolve {}: {}", target_.name(), uv_strerror(status))});
  }

  void finish(Result<std::vector<Endpoint>> result) {
    result_ = std::move(result);
    answer_.schedule();
  }

  // Last: the attempt may be destroyed by its Done.
  void answer() { std::exchange(done_, nullptr)(std::move(result_)); }

  Target target_;
  net::Done<std::vector<Endpoint>> done_;
  Result<std::vector<Endpoint>> result_ = std::vector<Endpoint>{};
  Request* request_ = nullptr;
  std::unique_ptr<net::Attempt> work_;
  Task answer_;
};

}  // namespace

std::unique_ptr<net::Attempt> resolve(Loop& loop, const Target& target,
                                      net::Done<std::vector<Endpoint>> done) {
  return std::make_unique<Lookup>(loop, target, std::move(done));
}

}  // namespace tunproxy::io

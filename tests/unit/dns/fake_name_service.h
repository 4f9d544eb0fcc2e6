// A NameService whose answers the test gives.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/net/name_service.h"

namespace tunproxy::testing {

class FakeNameService final : public net::NameService {
 public:
  struct Call {
    Endpoint server;
    ByteVector query;
    net::Done<ByteVector> done;
    bool cancelled = false;
  };

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override {
    calls.push_back(std::make_shared<Call>(
        Call{server, ByteVector(query.begin(), query.end()), std::move(done)}));
    return std::make_unique<Pending>(calls.back());
  }
  void answer(size_t call, Result<ByteVector> answer) {
    std::exchange(calls.at(call)->done, nullptr)(std::move(answer));
  }

  std::vector<std::shared_ptr<Call>> calls;

 private:
  class Pending final : public net::Attempt {
   public:
    explicit Pending(std::shared_ptr<Call> call) : call_(std::move(call)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() override { call_->cancelled = call_->done != nullptr; }

   private:
    std::shared_ptr<Call> call_;
  };
};

}  // namespace tunproxy::testing

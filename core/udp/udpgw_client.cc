#include "core/udp/udpgw_client.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/base/log.h"

namespace tunproxy::udp {
namespace {

constexpr size_t kLengthSize = 2;
constexpr size_t kFlushAt = 32 * 1024;  // about one packet of SSH

// "Who serves the root?", which every resolver knows (RFC 1035 §4.1).
constexpr std::array<uint8_t, 17> kQuestion = {0x74, 0x70, 0x01, 0x00, 0, 1, 0, 0, 0,
                                               0,    0,    0,    0,    0, 2, 0, 1};
constexpr size_t kDnsHeader = 12;
constexpr uint8_t kDnsResponse = 0x80;
constexpr uint32_t kOurs = 0;  // in place of an association

// A udpgw that knows the DNS flag puts its own resolver here, an older one sends to it.
Endpoint resolver() {
  static constexpr uint8_t kStub[4] = {127, 0, 0, 53};
  return {IpAddress::v4(kStub), 53};
}

bool answers_question(const UdpgwFrame& frame) {
  return frame.data.size() >= kDnsHeader &&
         std::equal(kQuestion.begin(), kQuestion.begin() + 2, frame.data.begin()) &&
         (frame.data[2] & kDnsResponse) != 0;
}

}  // namespace

// One association, as its user holds it.
class UdpgwClient::Session final : public net::DatagramSession {
 public:
  Session(UdpgwClient& client, uint32_t id) : client_(client), id_(id) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() override { client_.close(id_); }

  void send(const Target& to, Bytes payload) override { client_.send(id_, to, payload); }
  std::string_view carrier() const override { return "udpgw"; }

 private:
  UdpgwClient& client_;
  const uint32_t id_;
};

// An associate(), which only has to be told from the loop.
class UdpgwClient::Pending final : public net::Attempt {
 public:
  Pending(UdpgwClient& client, Association association,
          net::Done<std::unique_ptr<net::DatagramSession>> done)
      : client_(client),
        association_(std::move(association)),
        done_(std::move(done)),
        deliver_(client.loop_, [this] { deliver(); }) {
    deliver_.schedule();
  }

 private:
  void deliver() {
    const auto done = std::move(done_);
    if (client_.lost_) return done(*client_.lost_);
    if (client_.associations_.size() >= kMaxAssociations) {
      return done(Error{ErrorCode::limit, "too many associations for the udpgw"});
    }
    const uint32_t id = ++client_.last_association_;
    client_.associations_.emplace(id, std::move(association_));
    done(std::unique_ptr<net::DatagramSession>(std::make_unique<Session>(client_, id)));
  }

  UdpgwClient& client_;
  Association association_;
  net::Done<std::unique_ptr<net::DatagramSession>> done_;
  io::Task deliver_;
};

std::unique_ptr<net::Attempt> UdpgwClient::start(io::Loop& loop,
                                                 std::unique_ptr<net::Stream> stream,
                                                 const UdpgwOptions& options,
                                                 net::Done<std::unique_ptr<UdpgwClient>> done) {
  return std::make_unique<Starting>(loop, std::move(stream), options, std::move(done));
}

UdpgwClient::UdpgwClient(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                         const UdpgwOptions& options, Starting& starting)
    : stream_(std::move(stream)),
      loop_(loop),
      options_(options),
      began_(loop.now()),
      starting_(&starting),
      queue_(options.queue),
      watch_(loop, options.silence, [this](auto event) { on_watch(event); }),
      flush_(loop, [this] { flush(); }),
      timer_(loop, [this] { on_tick(); }) {
  stream_->on_progress([this] { on_progress(); });
  on_tick();
}

void UdpgwClient::set_state(State next) {
  static constexpr const char* kNames[] = {"probing", "open", "lost"};
  assert(next > state_);
  log::debug("udpgw: {} -> {}", kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  state_ = next;
}

// A flow like others, until it is answered.
void UdpgwClient::ask() {
  const uint16_t id = flow_to({kOurs, resolver()});
  queue_.push({UdpgwFrame::kDns, id, resolver(), kQuestion}, slots_[id].binding, loop_.now());
  flush_.schedule();
}

void UdpgwClient::on_watch(SilenceWatch::Event event) {
  switch (event) {
    case SilenceWatch::Event::ask:
      return ask();
    case SilenceWatch::Event::silent:
      log::debug("udpgw: it does not answer");
      return tell_silent();
    case SilenceWatch::Event::give_up:
      return fail({ErrorCode::timed_out, "the udpgw no longer answers"});
  }
}

void UdpgwClient::on_tick() {
  if (state_ == State::probing) {
    if (loop_.now() - began_ >= options_.probe_timeout) {
      return fail({ErrorCode::timed_out, "no udpgw answers a DNS query there"});
    }
    ask();
    return timer_.start(std::min(options_.probe_interval, options_.probe_timeout));
  }
  // A frame that waits to go out will do as well.
  if (queue_.empty()) queue_.push_keepalive(loop_.now());
  flush_.schedule();
  timer_.start(options_.keepalive);
}

std::unique_ptr<net::Attempt> UdpgwClient::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  return std::make_unique<Pending>(*this, Association{std::move(on_datagram), std::move(on_closed)},
                                   std::move(done));
}

// On the way out.

void UdpgwClient::send(uint32_t association, const Target& to, Bytes payload) {
  ++counters_.sent;
  if (uint64_t* const drop = why_not(association, to, payload); drop != nullptr) {
    ++*drop;
    return;
  }
  if (queue_.full() || queue_.bytes() >= kFlushAt) flush();
  const Endpoint remote{to.address(), to.port()};
  const uint16_t id = flow_to({association, remote});
  queue_.push({0, id, remote, payload}, slots_[id].binding, loop_.now());
  watch_.spoke();
  flush_.schedule();
}

// The counter of what stands against it, if anything.
uint64_t* UdpgwClient::why_not(uint32_t association, const Target& to, Bytes payload) {
  if (to.is_name()) return &counters_.names;
  if (payload.size() > kUdpgwMaxData) return &counters_.too_long;
  return associations_.contains(association) ? nullptr : &counters_.gone;
}

// The flow's id, which is now the most recently used one.
uint16_t UdpgwClient::flow_to(const Key& key) {
  const auto known = by_remote_.find(key);
  const uint16_t id = known == by_remote_.end() ? free_slot() : known->second;
  Slot& slot = slots_[id];
  by_use_.splice(by_use_.end(), by_use_, slot.use);
  if (slot.flow) return id;
  slot.flow = key;
  slot.binding = ++last_binding_;
  by_remote_.emplace(key, id);
  return id;
}

uint16_t UdpgwClient::free_slot() {
  const bool has_free = !by_use_.empty() && !slots_[by_use_.front()].flow;
  if (!has_free && slots_.size() < kMaxFlows) {
    const auto id = static_cast<uint16_t>(slots_.size());
    slots_.push_back({std::nullopt, 0, by_use_.insert(by_use_.begin(), id)});
    return id;
  }
  const uint16_t id = by_use_.front();
  if (!has_free) {
    release(id);
    ++counters_.evicted;
  }
  return id;
}

void UdpgwClient::release(uint16_t id) {
  Slot& slot = slots_[id];
  by_remote_.erase(*slot.flow);
  slot.flow.reset();
  by_use_.splice(by_use_.begin(), by_use_, slot.use);
}

void UdpgwClient::close(uint32_t association) {
  associations_.erase(association);
  for (auto flow = by_remote_.lower_bound({association, Endpoint{}});
       flow != by_remote_.end() && flow->first.first == association;) {
    const uint16_t id = (flow++)->second;
    release(id);
  }
}

void UdpgwClient::flush() {
  if (state_ == State::lost) return;
  for (Bytes bytes = queue_.front(loop_.now()); !bytes.empty(); bytes = queue_.front(loop_.now())) {
    const size_t n = stream_->write(bytes);
    const bool blocked = n < bytes.size();
    queue_.consume(n);
    if (blocked) return;
  }
}

// On the way in.

void UdpgwClient::on_progress() {
  flush();
  while (state_ != State::lost) {
    const Bytes bytes = stream_->peek();
    if (bytes.empty()) break;
    take(bytes);
    if (state_ != State::lost) stream_->consume(bytes.size());
  }
  if (state_ != State::lost && (stream_->error() != nullptr || stream_->ended())) on_end();
}

void UdpgwClient::take(Bytes bytes) {
  while (state_ != State::lost && !bytes.empty()) {
    if (!partial_.empty()) {
      complete_frame(bytes);
    } else if (!decode_one(bytes)) {
      append(partial_, bytes);
      return;
    }
  }
}

// Moves as many bytes to the partial frame as it is known to need.
void UdpgwClient::complete_frame(Bytes& bytes) {
  size_t size = kLengthSize;
  if (partial_.size() >= kLengthSize) size += static_cast<size_t>(partial_[0] | partial_[1] << 8);
  const size_t n = std::min(size - partial_.size(), bytes.size());
  append(partial_, bytes.first(n));
  bytes = bytes.subspan(n);
  Bytes whole(partial_);
  if (decode_one(whole)) partial_.clear();
}

// False if there is not yet a whole frame.
bool UdpgwClient::decode_one(Bytes& bytes) {
  const auto frame = decode_udpgw(bytes);
  if (!frame) {
    fail({ErrorCode::protocol, "the udpgw broke its protocol: " + frame.error().message});
    return true;
  }
  if (!*frame) return false;
  heard(**frame);
  return true;
}

void UdpgwClient::heard(const UdpgwFrame& frame) {
  watch_.heard();
  if ((frame.flags & UdpgwFrame::kKeepalive) != 0) return;
  // What another destination sent before the id was bound anew may still be under way.
  const bool claimed = frame.connection < slots_.size() && slots_[frame.connection].flow &&
                       slots_[frame.connection].flow->second == frame.remote;
  if (!claimed) {
    if (!answers_question(frame)) ++counters_.unclaimed;  // it is asked more than once
  } else if (slots_[frame.connection].flow->first == kOurs) {
    on_answer(frame);
  } else {
    on_datagram(frame);
  }
}

void UdpgwClient::on_answer(const UdpgwFrame& frame) {
  if (!answers_question(frame)) return;
  close(kOurs);
  if (state_ == State::open) return;
  set_state(State::open);
  timer_.start(options_.keepalive);
  if (starting_ != nullptr) starting_->settle();
}

void UdpgwClient::on_datagram(const UdpgwFrame& frame) {
  ++counters_.received;
  Slot& slot = slots_[frame.connection];
  by_use_.splice(by_use_.end(), by_use_, slot.use);
  associations_.at(slot.flow->first).on_datagram(frame.remote, frame.data);
}

void UdpgwClient::on_end() {
  Error error{ErrorCode::reset, "the udpgw closed the connection"};
  if (stream_->error() != nullptr) error = *stream_->error();
  if (state_ == State::probing)
    error.message += " without an answer; perhaps it serves no more clients";
  fail(std::move(error));
}

void UdpgwClient::fail(Error error) {
  if (state_ == State::lost) return;
  set_state(State::lost);
  lost_ = std::move(error);
  timer_.stop();
  watch_.stop();
  flush_.cancel();
  stream_->on_progress(nullptr);
  while (!associations_.empty()) {
    auto association = associations_.extract(associations_.begin());
    association.mapped().on_closed(*lost_);
  }
  if (starting_ != nullptr) {
    starting_->settle();
  } else {
    tell_closed(*lost_);
  }
}

UdpgwClient::Counters UdpgwClient::counters() const {
  Counters counters = counters_;
  counters.queue = queue_.dropped();
  return counters;
}

void UdpgwClient::add_drops(Drops& to) const {
  const Counters now = counters();
  to["udpgw/too_old"] += now.queue.too_old;
  to["udpgw/too_many"] += now.queue.too_many;
  to["udpgw/too_long"] += now.too_long;
  to["udpgw/name"] += now.names;
  to["udpgw/association_gone"] += now.gone + now.unclaimed;
}

}  // namespace tunproxy::udp

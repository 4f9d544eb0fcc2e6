#include "tools/relay/helper.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/dns/resolv_conf.h"
#include "core/socks5/reply.h"

namespace tunproxy::relay {
namespace {

constexpr size_t kReadSize = 256 * 1024;
constexpr size_t kMaxFrame = 4 + udp::kRelayMaxMessage;
constexpr size_t kMaxResolvers = 3;
constexpr std::string_view kProgramMark = "#tunproxy-relay ";  // and five digits
constexpr size_t kProgramLine = kProgramMark.size() + 6;
constexpr udp::RelayQueue::Limits kQueue{SIZE_MAX, 1024 * 1024, 100ms};
constexpr uint8_t kGeneral = 1;
constexpr uint8_t kIdle = 6;
constexpr uint8_t kNotSupported = 7;
constexpr Duration kTellAtMostEach = 1s;

std::vector<rules::FarRule> deny(const std::vector<Cidr>& blocks) {
  std::vector<rules::FarRule> told;
  for (const Cidr& block : blocks) told.push_back({true, block, {}});
  return told;
}

bool denies(const rules::RuleSet& rules, const Endpoint& to) {
  if (rules.rules().empty()) return false;
  const rules::Flow flow{rules::Protocol::udp, "", &to.address, to.port, ""};
  return rules.judge(flow).action == rules::Action::deny;
}

}  // namespace

Helper::Helper(io::Loop& loop, const Options& options, int in, int out)
    : loop_(loop),
      options_(options),
      in_(in),
      out_(out),
      input_(new uint8_t[kReadSize + kMaxFrame]),
      queue_(kQueue),
      owner_rules_(rules::rule_set(deny(options.deny))),
      names_(
          loop,
          [this](uint32_t id, const Endpoint& to, Bytes payload) { send_now(id, to, payload); },
          [this] {
            ++counters_.drops.unresolved;
            watch_drops();
          }),
      flush_(loop, [this] { flush(); }),
      sweep_(loop, [this] { sweep(); }),
      tell_drops_(loop, [this] { tell_drops(); }),
      reader_(loop, in, [this](io::FdWatcher::Ready) { on_input(); }),
      writer_(loop, out, [this](io::FdWatcher::Ready) { flush(); }) {
  reader_.want(true, false);
}

// What the client says.

void Helper::on_input() {
  const ssize_t n = ::read(in_, input_.get() + filled_, kReadSize);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return end();
  filled_ += static_cast<size_t>(n);
  const size_t taken = take({input_.get(), filled_});
  flush_sockets();
  watch_drops();
  filled_ -= taken;
  std::copy_n(input_.get() + taken, filled_, input_.get());
}

size_t Helper::take(Bytes bytes) {
  const size_t size = bytes.size();
  bytes = bytes.subspan(skip_program(bytes));
  while (!ended_ && skip_ == 0) {
    const auto message = udp::decode_relay(bytes);
    if (!message) {
      give_up(message.error().message);
    } else if (*message) {
      on_message(**message);
    } else {
      break;
    }
  }
  return size - bytes.size();
}

// The client may send the Python program although it was us who were started. Returns how many
// bytes it takes from here; skip_ is known once its first line is.
size_t Helper::skip_program(Bytes bytes) {
  if (!skip_) {
    if (bytes[0] != static_cast<uint8_t>(kProgramMark[0])) {
      skip_ = 0;
    } else if (bytes.size() >= kProgramLine) {
      size_t length = 0;
      const char* text = as_text(bytes).data();
      std::from_chars(text + kProgramMark.size(), text + kProgramLine - 1, length);
      if (!as_text(bytes).starts_with(kProgramMark) || length < kProgramLine) {
        give_up("a program without its length");
      }
      skip_ = length;
    }
  }
  const size_t skipped = std::min(skip_.value_or(0), bytes.size());
  if (skip_) *skip_ -= skipped;
  return skipped;
}

void Helper::on_message(const udp::RelayMessage& message) {
  if (!greeted_) return greet(message);
  std::visit([&](const auto& body) { handle(message.connection, body); }, message.body);
}

void Helper::greet(const udp::RelayMessage& message) {
  const auto* hello = std::get_if<udp::Hello>(&message.body);
  if (hello == nullptr || hello->version == 0) return give_up("no hello");
  greeted_ = true;
  queue_.push_magic(hello->nonce);
  say(0, udp::Hello{udp::Hello::kVersion, hello->nonce, 0, options_.max_associations});
}

void Helper::handle(uint32_t id, const udp::UdpAssociate&) {
  if (associations_.contains(id)) return give_up("an association that is open");
  if (associations_.size() >= options_.max_associations) {
    return say(id, udp::UdpAssociateClosed{kGeneral, "too many associations"});
  }
  auto association =
      std::make_unique<Association>(loop_, [this, id](const Endpoint& from, Bytes payload) {
        ++counters_.received;
        queue_.push_datagram(id, from, payload, loop_.now());
        flush_.schedule();
      });
  const Result<Endpoint> bound = association->open();
  if (!bound) {
    const Error& error = bound.error();
    return say(id, udp::UdpAssociateClosed{socks5::reply_for_error(error.code), error.message});
  }
  associations_.emplace(id, std::move(association));
  say(id, udp::UdpAssociateOpened{*bound});
  if (!sweep_.active()) sweep_.start(options_.idle / 4 + 1ms);
}

void Helper::handle(uint32_t id, const udp::UdpPacket& packet) {
  const auto association = associations_.find(id);
  if (association == associations_.end()) {
    ++counters_.drops.unclaimed;
  } else if (packet.address.is_name()) {
    association->second->touch();
    names_.send(id, packet.address, packet.data);
  } else {
    send(*association->second, {packet.address.address(), packet.address.port()}, packet.data);
  }
}

void Helper::handle(uint32_t id, const udp::UdpAssociateClosed&) {
  const auto association = associations_.extract(id);
  if (association.empty()) return;
  if (association.mapped()->queued()) flush_sockets();
}

void Helper::handle(uint32_t id, const udp::Ping& ping) {
  say(id, udp::Pong{ping.token});
}

void Helper::handle(uint32_t id, const udp::Resolve& resolve) {
  const auto header = dns::parse_header(resolve.message);
  if (!header || header->is_response() || questions_.size() >= kMaxQuestions) {
    return say(id, udp::Resolved{});
  }
  const uint64_t key = ++last_question_;
  questions_[key] = std::make_unique<Question>(
      loop_, resolvers(), resolve.message, [this, id, key](Bytes answer) {
        say(id, udp::Resolved{answer});
        loop_.retire(std::move(questions_.extract(key).mapped()));
      });
}

void Helper::handle(uint32_t id, const udp::OpenConnection&) {
  say(id, udp::CloseConnection{kNotSupported, "no TCP here"});
}

void Helper::handle(uint32_t, const udp::Rules& part) {
  coming_rules_.insert(coming_rules_.end(), part.rules.begin(), part.rules.end());
  if (coming_rules_.size() > udp::Rules::kMaxRules) return give_up("too many rules");
  if (!part.more) client_rules_ = rules::rule_set(std::exchange(coming_rules_, {}));
}

// Read each time, as it changes while we run.
std::vector<Endpoint> Helper::resolvers() const {
  if (options_.resolver) return {*options_.resolver};
  std::stringstream text;
  text << std::ifstream("/etc/resolv.conf").rdbuf();
  std::vector<Endpoint> servers = dns::parse_resolv_conf(text.str());
  if (servers.size() > kMaxResolvers) servers.resize(kMaxResolvers);
  if (servers.empty()) servers.push_back(*Endpoint::parse("127.0.0.1", dns::kPort));
  return servers;
}

// Towards the targets.

void Helper::send(Association& association, const Endpoint& to, Bytes payload) {
  if (denied(to)) {
    ++counters_.drops.denied;
    return;
  }
  const bool first = !association.queued();
  if (!association.queue(to, payload)) {
    ++counters_.drops.failed;
  } else if (first) {
    to_flush_.push_back(&association);
  }
}

void Helper::send_now(uint32_t id, const Endpoint& to, Bytes payload) {
  const auto association = associations_.find(id);
  if (association == associations_.end()) {
    ++counters_.drops.unclaimed;
  } else {
    send(*association->second, to, payload);
    flush_sockets();
  }
  watch_drops();
}

void Helper::flush_sockets() {
  for (Association* association : to_flush_) {
    const Association::Flushed flushed = association->flush();
    counters_.sent += flushed.sent;
    counters_.drops.failed += flushed.failed;
  }
  to_flush_.clear();
}

bool Helper::denied(const Endpoint& to) const {
  return denies(owner_rules_, to) || denies(client_rules_, to);
}

// Towards the client.

void Helper::say(uint32_t id, udp::RelayBody body) {
  if (queue_.push({id, std::move(body)})) {
    flush_.schedule();
  } else if (!complaint_) {
    complaint_ = "the client does not read";
    end();
  }
}

void Helper::flush() {
  while (!ended_) {
    const Bytes bytes = queue_.front(loop_.now());
    watch_drops();
    if (bytes.empty()) return writer_.want(false, false);
    const ssize_t n = ::write(out_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return end();
      return writer_.want(false, true);
    }
    queue_.consume(static_cast<size_t>(n));
  }
}

void Helper::sweep() {
  for (auto at = associations_.begin(); at != associations_.end();) {
    if (loop_.now() - at->second->used() < options_.idle) {
      ++at;
      continue;
    }
    say(at->first, udp::UdpAssociateClosed{kIdle, "idle"});
    at = associations_.erase(at);
  }
  if (!associations_.empty()) sweep_.start(options_.idle / 4 + 1ms);
}

void Helper::watch_drops() {
  if (greeted_ && !tell_drops_.active() && counters().drops != told_) {
    tell_drops_.start(kTellAtMostEach);
  }
}

void Helper::tell_drops() {
  told_ = counters().drops;
  say(0, told_);
}

void Helper::give_up(const std::string& complaint) {
  complaint_ = complaint;
  say(0, udp::CloseConnection{kGeneral, complaint});
  flush();
  end();
}

void Helper::end() {
  if (std::exchange(ended_, true)) return;
  reader_.release();
  writer_.release();
  loop_.stop();
}

Helper::Counters Helper::counters() const {
  Counters counters = counters_;
  counters.drops.too_old = queue_.dropped().too_old;
  counters.drops.too_many = queue_.dropped().too_many;
  return counters;
}

}  // namespace tunproxy::relay

#include "core/ssh/channel_mux.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kControlsAtMost = 4 * ChannelMux::kMaxChannels;
constexpr Duration kOutlastAgain = 200ms;

}  // namespace

ChannelMux::ChannelMux(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                       std::shared_ptr<Transport> transport, std::shared_ptr<WindowShare> share,
                       Duration open_timeout, std::function<void(const Error&)> on_lost)
    : loop_(loop),
      stream_(std::move(stream)),
      transport_(std::move(transport)),
      open_timeout_(open_timeout),
      on_lost_(std::move(on_lost)),
      share_(std::move(share)),
      windows_(*share_),
      last_heard_(loop.now()),
      last_carried_(loop.now() - kQuiet),
      open_timer_(loop, [this] { expire_opens(); }),
      tick_(loop, [this] { tick(); }) {
  transport_->take_packets([this](Bytes packet, Buffer& buffer) { on_packet(packet, buffer); });
  stream_->on_progress([this] { read(); });
  stream_->limit_unsent(ahead_.limit());
  measure_round();  // while nothing is under way
}

ChannelMux::~ChannelMux() {
  stream_->on_progress(nullptr);
  if (!failed_) error_ = {ErrorCode::reset, "the SSH connection was closed"};
  tell_lost();
}

Slot* ChannelMux::new_slot(ChannelUser* user, Priority priority, size_t window) {
  if (failed_ || slots_.size() >= kMaxChannels) return nullptr;
  while (slots_.contains(next_id_)) ++next_id_;
  Slot& slot = slots_[next_id_];
  slot.id = next_id_++;
  slot.user = user;
  slot.priority = priority;
  slot.receive_window.open = window;
  share_->opened();
  return &slot;
}

void ChannelMux::erase_slot(uint32_t id) {
  slots_.erase(id);
  share_->closed(1);
}

void ChannelMux::await_answer(const Slot& slot) {
  deadlines_.emplace_back(loop_.now() + open_timeout_, slot.id);
  if (!open_timer_.active()) open_timer_.start(open_timeout_);
}

Slot* ChannelMux::open_direct_tcpip(const Target& target, ChannelUser* user, Priority priority) {
  const size_t window = share_->initial();
  Slot* slot = new_slot(user, priority, window);
  if (slot != nullptr) {
    await_answer(*slot);
    control(direct_tcpip_open(slot->id, static_cast<uint32_t>(window), kMaxPacket, target));
  }
  return slot;
}

Slot* ChannelMux::open_session(ChannelUser* user) {
  Slot* slot = new_slot(user, Priority::expedited, WindowPolicy::kInitial);
  if (slot != nullptr) {
    await_answer(*slot);
    control(session_open(slot->id, WindowPolicy::kInitial, kMaxPacket));
  }
  return slot;
}

void ChannelMux::open_standing_session(ChannelUser* user) {
  const Slot* slot = open_session(user);
  if (slot == nullptr) return;
  standing_ = user;
  standing_id_ = slot->id;
}

Slot* ChannelMux::take_standing_session(ChannelUser* user) {
  const ChannelUser* standing = std::exchange(standing_, nullptr);
  Slot* slot = failed_ ? nullptr : find(standing_id_, Slot::State::open);
  if (standing == nullptr || slot == nullptr || slot->user != standing) return nullptr;
  slot->user = user;
  return slot;
}

void ChannelMux::tell_forbidden(const Error& error) {
  if (std::exchange(told_forbidden_, true)) return;
  log::warn("{}", error.message);
}

Slot* ChannelMux::accept(const ForwardedOpen& open) {
  const size_t window = share_->initial();
  Slot* slot = new_slot(nullptr, Priority::bulk, window);
  if (slot == nullptr) return nullptr;
  slot->peer_id = open.peer_id;
  slot->send_window = open.window;
  slot->max_packet = std::min(open.max_packet, kMaxPacket);
  slot->state = Slot::State::open;
  control(open_confirmation(open.peer_id, slot->id, static_cast<uint32_t>(window), kMaxPacket));
  return slot;
}

void ChannelMux::expire_opens() {
  while (!deadlines_.empty() && deadlines_.front().first <= loop_.now()) {
    Slot* slot = find(deadlines_.front().second, Slot::State::opening);
    deadlines_.pop_front();
    if (slot == nullptr || slot->user == nullptr) continue;
    std::exchange(slot->user, nullptr)
        ->on_open_failed({ErrorCode::timed_out, "the SSH server did not connect in time"});
  }
  if (!deadlines_.empty()) open_timer_.start(deadlines_.front().first - loop_.now());
}

// Nothing to wait for, no timer.
void ChannelMux::forget_settled_opens() {
  while (!deadlines_.empty() && find(deadlines_.front().second, Slot::State::opening) == nullptr) {
    deadlines_.pop_front();
  }
  if (deadlines_.empty()) open_timer_.stop();
}

bool ChannelMux::request_exec(Slot& slot, std::string_view command) {
  ByteVector request = exec_request(slot.peer_id, command);
  if (request.size() > Transport::kMaxPacket) return false;
  control(std::move(request));
  return true;
}

bool ChannelMux::request(ByteVector message, RequestUser* user) {
  if (failed_ || requests_.full()) return false;
  requests_.push(user);
  control(std::move(message));
  return true;
}

SessionLoad ChannelMux::load(const ChannelUser* except) const {
  SessionLoad load;
  for (const auto& [id, slot] : slots_) {
    if (slot.user == nullptr || slot.user == except) continue;
    ++load.channels;
    load.bulk += slot.priority == Priority::bulk;
    load.opening += slot.state == Slot::State::opening;
  }
  load.waiting = waiting_.size() + urgent_.size();
  load.received = received_;
  load.sent = sent_;
  return load;
}

// Everything but data waits for the tick: it may be wanted while a packet is being read.
void ChannelMux::control(ByteVector message) {
  controls_.push_back(std::move(message));
  if (controls_.size() > kControlsAtMost) {
    fail({ErrorCode::limit, "the SSH server asks more than it reads"});
  }
  tick_.schedule();
}

size_t ChannelMux::write(Slot& slot, Bytes bytes) {
  if (slot.state != Slot::State::open || failed_) return 0;
  size_t written = 0;
  while (written < bytes.size() && slot.send_window > 0) {
    const size_t allowed = waiting(slot).empty() ? kTurn : slot.turn;
    const size_t n = std::min({bytes.size() - written, slot.send_window, allowed,
                               size_t{slot.max_packet}, ahead_.limit()});
    if (n == 0 || !has_room(slot) || !send_data(slot, bytes.subspan(written, n))) {
      wait_to_write(slot);
      break;
    }
    carried();
    sent_ += n;
    slot.send_window -= n;
    slot.turn -= std::min(slot.turn, n);
    written += n;
  }
  return written;
}

// What is encrypted keeps its place, and is not dropped when it grows old: so little of it waits.
size_t ChannelMux::room() const {
  const size_t queued = transport_->out_size();
  return queued < ahead_.limit() ? ahead_.limit() - queued : 0;
}

// Who drops what finds no room should not do so while the connection takes more.
bool ChannelMux::has_room(const Slot& slot) {
  if (room() == 0 && slot.priority == Priority::expedited) flush();
  return room() > 0;
}

bool ChannelMux::send_data(Slot& slot, Bytes bytes) {
  if (!send_controls()) return false;
  uint8_t head[9];
  head[0] = static_cast<uint8_t>(MessageType::channel_data);
  store_be32(head + 1, slot.peer_id);
  store_be32(head + 5, static_cast<uint32_t>(bytes.size()));
  tick_.schedule();
  auto sent = transport_->send(head, bytes);
  if (!sent) fail(sent.error());
  rekeying_ = sent && !*sent;
  return sent && *sent;
}

bool ChannelMux::send_controls() {
  while (!controls_.empty()) {
    auto sent = transport_->send(controls_.front(), {});
    if (!sent) fail(sent.error());
    rekeying_ = sent && !*sent;
    if (!sent || !*sent) return false;
    controls_.pop_front();
  }
  return true;
}

void ChannelMux::wait_to_write(Slot& slot) {
  if (slot.waits_to_write || failed_) return;
  slot.waits_to_write = true;
  waiting(slot).push_back(slot.id);
  tick_.schedule();
}

void ChannelMux::send_eof(Slot& slot) {
  if (slot.state == Slot::State::open) control(end_of_file(slot.peer_id));
}

void ChannelMux::grant(Slot& slot, size_t queued) {
  if (slot.state != Slot::State::open) return;
  const size_t due = windows_.due(slot.receive_window, queued);
  if (due == 0) return;
  slot.receive_window.open += due;
  control(window_adjust(slot.peer_id, static_cast<uint32_t>(due)));
}

void ChannelMux::release(Slot& slot) {
  slot.user = nullptr;
  if (slot.state != Slot::State::open) return;
  slot.state = Slot::State::closing;
  control(close_channel(slot.peer_id));
}

// In the stream's callback, while its bytes are still in the loop's shared buffer.
void ChannelMux::read() {
  if (failed_) return;
  tick_.schedule();
  if (!stream_->peek().empty()) last_heard_ = loop_.now();
  auto result = transport_->read_packets(*stream_);
  rekeying_ = false;  // perhaps; the next send tells
  if (!result) fail(result.error());
  if (windows_.wants_round(loop_.now())) measure_round();
}

void ChannelMux::measure_round() {
  if (request(keepalive_request(), this)) windows_.begin_round(loop_.now());
}

void ChannelMux::on_request_reply(bool, MessageReader) {
  windows_.end_round(loop_.now());
}

void ChannelMux::tick() {
  if (failed_) {
    tell_lost();
    if (on_lost_) std::exchange(on_lost_, nullptr)(error_);
    return;
  }
  if (!stream_->peek().empty()) read();
  send_controls();
  flush();
  if (outlasts_ && loop_.now() - told_to_outlast_ >= kOutlastAgain) outlast(*outlasts_);
  if (!rekeying_) wake_writers();
}

void ChannelMux::outlast(Duration silence) {
  outlasts_ = silence;
  told_to_outlast_ = loop_.now();
  stream_->outlast(silence);
}

void ChannelMux::carried() {
  const bool stirred = loop_.now() - last_carried_ >= kQuiet;
  last_carried_ = loop_.now();
  if (stirred && stirred_) stirred_();
}

void ChannelMux::flush() {
  const size_t before = transport_->out_size();
  transport_->flush(*stream_);
  const size_t sent = before - transport_->out_size();
  if (ahead_.on_sent(sent, loop_.now())) stream_->limit_unsent(ahead_.limit());
}

void ChannelMux::wake_writers() {
  wake(urgent_);
  wake(waiting_);
  if (room() > 0 && !(urgent_.empty() && waiting_.empty())) tick_.schedule();
}

// Only as many as there is room for, so that those behind them do not lose their turn.
void ChannelMux::wake(std::deque<uint32_t>& waiting) {
  for (size_t room = this->room(); room > 0 && !waiting.empty();) {
    const auto found = slots_.find(waiting.front());
    waiting.pop_front();
    if (found == slots_.end()) continue;
    Slot& slot = found->second;
    slot.waits_to_write = false;
    if (slot.user == nullptr) continue;
    slot.turn = kTurn;
    room -= std::min(room, kTurn);
    slot.user->on_writable();
  }
}

void ChannelMux::fail(Error error) {
  if (failed_) return;
  failed_ = true;
  error_ = std::move(error);
  tick_.schedule();
}

void ChannelMux::tell_lost() {
  const Error error{ErrorCode::reset, error_.message};
  for (auto& [id, slot] : slots_) {
    if (slot.user != nullptr) std::exchange(slot.user, nullptr)->on_lost(error);
  }
  share_->closed(slots_.size());
  slots_.clear();
  requests_.lose(error);
  urgent_.clear();
  waiting_.clear();
  controls_.clear();
  deadlines_.clear();
  open_timer_.stop();
}

}  // namespace tunproxy::ssh

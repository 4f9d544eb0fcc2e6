#include "core/ssh/pool.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/ssh/turned_away.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kTick = 1s;
constexpr Duration kRarestTick = 16s;           // while nothing is carried
constexpr uint64_t kAsMuchAsAFlow = 64 * 1024;  // bytes a second that weigh as one flow more

}  // namespace

Pool::Pool(io::Loop& loop, PoolOptions options)
    : loop_(loop),
      options_(std::move(options)),
      tick_(loop, [this] { tick(); }),
      sweep_(loop, [this] { sweep(); }) {
  members_.push_back(std::make_unique<Member>(loop_, options_.session, ++last_id_));
  first().on_state([this](State, const Error* error) {
    update_state(error);
    sweep_.schedule();
  });
}

Pool::~Pool() = default;

void Pool::start(net::Done<void> done) {
  first().start(std::move(done));
}

void Pool::stop() {
  tick_.stop();
  sweep_.cancel();
  if (coming_) retire(std::move(coming_));
  while (members_.size() > 1) {
    members_.back()->supervisor.stop();
    retire(std::move(members_.back()));
    members_.pop_back();
  }
  first().stop();
}

void Pool::update_state(const Error* error) {
  const bool online = std::any_of(members_.begin(), members_.end(), [](const auto& member) {
    return member->supervisor.state() == State::online;
  });
  const State next = first().state() != State::failed && online ? State::online : first().state();
  if (next == state_) return;
  if (next == State::online) ++online_times_;
  state_ = next;
  if (changed_) changed_(next, error);
}

// -- flows

std::unique_ptr<net::Attempt> Pool::connect(const Target& target, StreamDone done) {
  auto attempt = choose().connect(target, std::move(done));
  consider();
  return attempt;
}

std::unique_ptr<net::Attempt> Pool::Expedited::connect(const Target& target, StreamDone done) {
  return pool_.choose().expedited().connect(target, std::move(done));
}

std::unique_ptr<net::Attempt> Pool::bind(const net::Expected& expected, net::OnBound on_bound,
                                         net::Done<net::Accepted> done) {
  auto attempt = choose().bind(expected, std::move(on_bound), std::move(done));
  consider();
  return attempt;
}

std::unique_ptr<net::Attempt> Pool::run(std::string command, StreamDone done) {
  return choose().run(std::move(command), std::move(done));
}

std::unique_ptr<net::Attempt> Pool::exec(std::string command, net::Done<ExecResult> done) {
  return choose().exec(std::move(command), std::move(done));
}

Supervisor& Pool::choose() {
  if (!tick_.active()) ticked_ = loop_.now();
  if (!tick_.active() || pace_ > kTick) tick_soon();
  return lightest();
}

void Pool::tick_soon() {
  pace_ = kTick;
  tick_.start(pace_);
}

// One too many for so long that it gets no new flows, or few of them would keep all of them.
bool Pool::surplus(const Member& member) const {
  return surplus_since_ && loop_.now() - *surplus_since_ >= options_.idle &&
         &member == members_.back().get();
}

bool Pool::sound() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->supervisor.sound(); });
}

// Sound before doubtful, then by weight; while none is sound, the first, as it will be renewed. One
// too many is the last choice.
Supervisor& Pool::lightest() {
  Supervisor* best = &first();
  uint64_t least = UINT64_MAX;
  for (const auto& member : members_) {
    if (!member->supervisor.sound()) continue;
    const size_t users = member->supervisor.load().users();
    if (users == 0) member->rate = 0;  // that is over
    const uint64_t carried = users + member->rate / kAsMuchAsAFlow;
    const uint64_t weight = surplus(*member) ? UINT64_MAX - 1 : carried;
    if (weight >= least) continue;
    least = weight;
    best = &member->supervisor;
  }
  return *best;
}

// -- how many

void Pool::tick() {
  const Duration since = loop_.now() - std::exchange(ticked_, loop_.now());
  size_t users = 0;
  uint64_t carried = 0;
  for (auto& member : members_) {
    carried += measure(*member, std::max(since, kTick));
    users += member->supervisor.load().users();
  }
  sweep();
  shrink();
  consider();
  pace_ = carried > 0 ? kTick : std::min(pace_ * 2, kRarestTick);
  if (users > 0 || members_.size() > 1) tick_.start(pace_);
}

uint64_t Pool::measure(Member& member, Duration since) const {
  const SessionLoad load = member.supervisor.load();
  const uint64_t all = load.received + load.sent;
  const uint64_t carried = all >= member.carried ? all - member.carried : all;
  member.rate = carried * 1000 / static_cast<uint64_t>(since.count());
  member.carried = all;
  if (load.users() > 0 || member.used_at == Instant{}) member.used_at = loop_.now();
  return carried;
}

void Pool::consider() {
  const bool may = options_.make_quiet_login && !paused_ && !coming_ && loop_.now() >= grow_at_;
  if (may && first().sound() && members_.size() < std::min(wanted(), options_.sessions)) grow();
}

// A flow that comes beside a bulk transfer should find a session that is free.
size_t Pool::wanted() const {
  size_t flows = 0;
  size_t busy = 0;
  for (const auto& member : members_) {
    flows += member->supervisor.load().users();
    if (member->rate >= kMuch) ++busy;
  }
  return std::max((flows + kFlowsEach - 1) / kFlowsEach, busy + 1);
}

void Pool::grow() {
  SupervisorOptions options = options_.session;
  options.addresses = first().addresses();
  options.make_login = options_.make_quiet_login;
  options.reconnect = false;
  coming_ = std::make_unique<Member>(loop_, std::move(options), ++last_id_);
  coming_->supervisor.on_state([this](State, const Error*) { sweep_.schedule(); });
  coming_->supervisor.start([this](Result<void> outcome) { grown(std::move(outcome)); });
}

void Pool::grown(Result<void> outcome) {
  if (outcome) {
    members_.push_back(std::move(coming_));
    log::debug("ssh: {} sessions", members_.size());
    return consider();
  }
  const bool refused = permanent(outcome.error()) || stay_away(outcome.error()).first > 0ms;
  log::emit(level_of_refusal(outcome.error()),
            "the SSH server grants no further session, {} it is: {}", members_.size(),
            outcome.error().message);
  grow_at_ = loop_.now() + (refused ? options_.refused : options_.unanswered);
  retire(std::move(coming_));
}

void Pool::shrink() {
  if (members_.size() == 1 || wanted() >= members_.size()) return surplus_since_.reset();
  if (!surplus_since_) surplus_since_ = loop_.now();
  // The one that has been idle for longest goes first.
  std::stable_sort(members_.begin() + 1, members_.end(),
                   [](const auto& a, const auto& b) { return a->used_at > b->used_at; });
  const Member& last = *members_.back();
  const bool idle = loop_.now() - last.used_at >= options_.idle;
  if (!idle && !(surplus(last) && last.supervisor.load().users() == 0)) return;
  surplus_since_ = loop_.now();
  members_.back()->supervisor.stop();
  retire(std::move(members_.back()));
  members_.pop_back();
  log::debug("ssh: {} sessions", members_.size());
}

// Flows that wait at a session which is lost or in doubt go to one that is not.
void Pool::sweep() {
  Supervisor& refuge = lightest();
  for (auto& member : members_) {
    Supervisor& supervisor = member->supervisor;
    const bool gone = supervisor.state() == State::failed && &supervisor != &first();
    if (&supervisor != &refuge && (gone || (refuge.sound() && !supervisor.sound()))) {
      supervisor.hand_over(refuge);
    }
    if (gone) retire(std::move(member));
  }
  std::erase(members_, nullptr);
  static const Error kNone{ErrorCode::server_unreachable, "the last SSH session is lost"};
  update_state(&kNone);
}

void Pool::retire(std::unique_ptr<Member> member) {
  const Supervisor::Counters counters = member->supervisor.counters();
  past_.logins += counters.logins;
  past_.losses += counters.losses;
  past_.received += counters.received;
  past_.sent += counters.sent;
  member->supervisor.on_state(nullptr);
  loop_.retire(std::move(member));
}

// -- all of them

const std::vector<Endpoint>& Pool::addresses() const {
  return first().addresses();
}

void Pool::network_changed() {
  for (const auto& member : members_) member->supervisor.network_changed();
  grow_at_ = std::min(grow_at_, loop_.now() + options_.unanswered);
}

void Pool::pause() {
  paused_ = true;
  tick_.stop();
  for (const auto& member : members_) member->supervisor.pause();
  if (coming_) coming_->supervisor.pause();
}

void Pool::wake() {
  paused_ = false;
  for (const auto& member : members_) member->supervisor.wake();
  if (coming_) coming_->supervisor.wake();
  tick_soon();
}

Pool::Status Pool::status() const {
  Status status;
  status.state = state_;
  status.reason = first().reason();
  Supervisor::Counters sum = past_;
  for (const auto& member : members_) {
    const Supervisor& supervisor = member->supervisor;
    status.sessions.push_back({supervisor.status(), member->id});
    const Supervisor::Status& session = status.sessions.back();
    status.channels += session.channels;
    sum.logins += session.logins;
    sum.losses += session.losses;
    sum.received += session.received;
    sum.sent += session.sent;
  }
  status.received = sum.received;
  status.sent = sum.sent;
  status.logins = sum.logins;
  status.losses = sum.losses;
  status.reconnects = online_times_ > 0 ? online_times_ - 1 : 0;
  return status;
}

}  // namespace tunproxy::ssh

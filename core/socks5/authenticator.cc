#include "core/socks5/authenticator.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/base/secret.h"

namespace tunproxy::socks5 {
namespace {

// Of a user whose password came in clear.
void hash(User& user) {
  if (!user.hash.empty()) return;
  const auto hashed = hash_password(user.password);
  user.hash = hashed ? *hashed : "*";  // which no password matches
  wipe(user.password);
}

}  // namespace

// What a thread of the pool works on: its own copy.
struct Authenticator::Question {
  std::string password;
  User user;
  bool is_known = false;
  bool right = false;

  void answer() {
    hash(user);
    right = password_matches(password, user.hash) && is_known;
    wipe(password);
  }
};

class Authenticator::Check final : public net::Attempt {
 public:
  Check(Authenticator& owner, Credentials given, std::function<void(bool)> done)
      : owner_(owner), given_(std::move(given)), done_(std::move(done)) {}
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;
  ~Check() override {
    owner_.forget(*this);
    wipe(given_.password);
  }

  const Credentials& given() const { return given_; }
  // Last in its path: the check may be destroyed by it.
  void finish(bool right) { std::exchange(done_, nullptr)(right); }

 private:
  Authenticator& owner_;
  Credentials given_;
  std::function<void(bool)> done_;
};

// Stays until the hash is done, though nobody waits for it any more: what runs is bounded, whatever
// clients do.
struct Authenticator::Job {
  Check* check = nullptr;
  uint64_t generation = 0;  // of the users
  Digest digest;
  std::shared_ptr<Question> question;
  std::unique_ptr<net::Attempt> work;
};

Authenticator::Authenticator(io::Loop& loop, std::vector<User> users) : loop_(loop) {
  ::RAND_bytes(key_.data(), static_cast<int>(key_.size()));
  set_users(std::move(users));
}

Authenticator::~Authenticator() {
  forget_passwords();
}

void Authenticator::set_users(std::vector<User> users) {
  forget_passwords();
  ++generation_;
  users_.clear();
  for (const User& user : users) users_.push_back({user, std::nullopt});
  for (User& user : users) wipe(user.password);
  hash_next();
}

void Authenticator::forget_passwords() {
  for (Known& known : users_) wipe(known.user.password);
}

// One at a time: whoever comes meanwhile has the other threads.
void Authenticator::hash_next() {
  const auto next = std::find_if(users_.begin(), users_.end(),
                                 [](const Known& known) { return known.user.hash.empty(); });
  if (next == users_.end() || hashing_) return;
  const auto fresh = std::make_shared<User>(next->user);
  const size_t index = static_cast<size_t>(next - users_.begin());
  hashing_ = loop_.work([fresh] { hash(*fresh); },
                        [this, fresh, index, generation = generation_] {
                          hashing_.reset();
                          if (generation == generation_) {
                            wipe(users_[index].user.password);
                            users_[index].user.hash = fresh->hash;
                          }
                          hash_next();
                        });
}

Authenticator::Digest Authenticator::digest(const Credentials& given) const {
  const std::string text = given.user + '\0' + given.password;
  Digest digest{};
  ::HMAC(::EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), nullptr);
  return digest;
}

const Authenticator::Known* Authenticator::find(std::string_view name) const {
  const auto found = std::find_if(users_.begin(), users_.end(),
                                  [&](const Known& known) { return known.user.name == name; });
  return found != users_.end() ? &*found : nullptr;
}

bool Authenticator::remembers(const Credentials& given) const {
  const Known* known = find(given.user);
  if (known == nullptr || !known->right) return false;
  const Digest fresh = digest(given);
  return ::CRYPTO_memcmp(known->right->data(), fresh.data(), fresh.size()) == 0;
}

std::unique_ptr<net::Attempt> Authenticator::check(Credentials given,
                                                   std::function<void(bool)> done) {
  assert(required());
  if (waiting_.size() >= kMaxWaiting) return nullptr;
  auto check = std::make_unique<Check>(*this, std::move(given), std::move(done));
  waiting_.push_back(check.get());
  start_next();
  return check;
}

void Authenticator::start_next() {
  while (!waiting_.empty() && running_.size() < kMaxParallel) {
    Check& check = *waiting_.front();
    waiting_.pop_front();
    start(check);
  }
}

const User& Authenticator::compared(const std::string& name) const {
  if (const Known* known = find(name)) return known->user;
  const Digest chosen = digest({name, ""});
  return users_[(size_t{chosen[0]} << 8 | chosen[1]) % users_.size()].user;
}

Authenticator::Question Authenticator::question_about(const Credentials& given) const {
  if (!required()) return {};  // all users have gone since it was asked
  return {given.password, compared(given.user), find(given.user) != nullptr};
}

void Authenticator::start(Check& check) {
  const Credentials& given = check.given();
  // What was found right meanwhile, for another connection of the same client, is not hashed again.
  const bool remembered = remembers(given);
  const auto job = running_.emplace(running_.end());
  job->check = &check;
  job->generation = generation_;
  job->digest = digest(given);
  job->question = std::make_shared<Question>();
  if (!remembered) *job->question = question_about(given);
  job->question->right = remembered;
  job->work = loop_.work(
      [question = job->question, remembered] {
        if (!remembered) question->answer();
      },
      [this, job] { on_hashed(job); });
}

void Authenticator::on_hashed(std::list<Job>::iterator job) {
  const bool right = job->question->right;
  Check* check = job->check;
  if (right && check != nullptr && job->generation == generation_) {
    for (Known& known : users_) {
      if (known.user.name == check->given().user) known.right = job->digest;
    }
  }
  running_.erase(job);
  start_next();
  if (check != nullptr) check->finish(right);
}

void Authenticator::forget(const Check& check) {
  const auto found = std::find(waiting_.begin(), waiting_.end(), &check);
  if (found != waiting_.end()) waiting_.erase(found);
  for (Job& job : running_) {
    if (job.check == &check) job.check = nullptr;
  }
}

}  // namespace tunproxy::socks5

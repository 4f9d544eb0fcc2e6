#include "core/socks5/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace tunproxy::socks5 {

// What a thread of the pool works on: its own copy.
struct Question {
  std::string password;
  std::string hash;
  bool is_known = false;
  bool right = false;

  void answer() {
    right = password_matches(password, hash) && is_known;
    ::OPENSSL_cleanse(password.data(), password.size());
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
    ::OPENSSL_cleanse(given_.password.data(), given_.password.size());
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
  Digest digest;
  std::shared_ptr<Question> question;
  std::unique_ptr<net::Attempt> work;
};

Authenticator::Authenticator(io::Loop& loop, std::vector<User> users) : loop_(loop) {
  ::RAND_bytes(key_.data(), static_cast<int>(key_.size()));
  set_users(std::move(users));
}

Authenticator::~Authenticator() = default;

void Authenticator::set_users(std::vector<User> users) {
  users_.clear();
  for (User& user : users) users_.push_back({std::move(user), std::nullopt});
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

void Authenticator::start(Check& check) {
  const Credentials& given = check.given();
  const Known* known = find(given.user);
  // A user that is not there is compared with one that is: it takes as long, and is wrong anyhow.
  std::string hash = known != nullptr ? known->user.hash : std::string();
  if (known == nullptr && required()) hash = users_.front().user.hash;
  const auto job = running_.emplace(running_.end());
  job->check = &check;
  job->digest = digest(given);
  job->question =
      std::make_shared<Question>(Question{given.password, std::move(hash), known != nullptr});
  // What was found right meanwhile, for another connection of the same client, is not hashed again.
  if (remembers(given)) {
    job->question->right = true;
    job->work = loop_.work([] {}, [this, job] { on_hashed(job); });
  } else {
    job->work = loop_.work([question = job->question] { question->answer(); },
                           [this, job] { on_hashed(job); });
  }
}

void Authenticator::on_hashed(std::list<Job>::iterator job) {
  const bool right = job->question->right;
  Check* check = job->check;
  if (right && check != nullptr) {
    for (Known& known : users_) {
      const bool still =
          known.user.name == check->given().user && known.user.hash == job->question->hash;
      if (still) known.right = job->digest;
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

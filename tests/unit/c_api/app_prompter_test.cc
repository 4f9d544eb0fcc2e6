#include "bindings/c/app_prompter.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/secret_search.h"

namespace tunproxy::c_api {
namespace {

using testing::count_in_memory;
using testing::mask;
using testing::unmask;
using Trust = ssh::Prompter::Trust;

/// A program that writes down what it is asked.
class AppPrompterTest : public ::testing::Test {
 protected:
  static AppPrompter::Callbacks callbacks(std::promise<tunproxy_question>& asked) {
    AppPrompter::Callbacks callbacks;
    callbacks.ask = [&asked](auto id, const std::string&, bool) { asked.set_value(id); };
    callbacks.verify_host_key = [&asked](auto id, const auto&) { asked.set_value(id); };
    return callbacks;
  }
  std::future<Result<Secret>> ask(AppPrompter& prompter) {
    return std::async(std::launch::async, [&] { return prompter.ask("Code: ", false, given_up_); });
  }

  io::Event given_up_;
  std::promise<tunproxy_question> asked_;
};

TEST_F(AppPrompterTest, TheAnswerMayComeFromWithinTheCallback) {
  AppPrompter* self = nullptr;
  AppPrompter::Callbacks callbacks;
  callbacks.ask = [&](auto id, const std::string& prompt, bool echo) {
    EXPECT_EQ(prompt, "Code: ");
    EXPECT_FALSE(echo);
    EXPECT_TRUE(self->answer(id, Secret("4711")));
    EXPECT_FALSE(self->answer(id, Secret("4712"))) << "each is answered once";
  };
  AppPrompter prompter(callbacks);
  self = &prompter;
  const auto answer = prompter.ask("Code: ", false, given_up_);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text(), "4711");
}

TEST_F(AppPrompterTest, AnAnswerIsWipedWhenItIsDoneWith) {
  const std::string code = mask("the code of the day is 8190462");
  AppPrompter prompter(callbacks(asked_));
  auto answer = ask(prompter);
  EXPECT_TRUE(prompter.answer(asked_.get_future().get(), unmask(code)));
  {
    const auto given = answer.get();
    ASSERT_TRUE(given);
    EXPECT_EQ(given->text(), unmask(code).text());
  }
  answer = {};
  EXPECT_EQ(count_in_memory(code), 0U);
}

TEST_F(AppPrompterTest, RefusingIsAnAnswerToo) {
  AppPrompter prompter(callbacks(asked_));
  auto answer = ask(prompter);
  EXPECT_TRUE(prompter.answer(asked_.get_future().get(), std::nullopt));
  const auto given = answer.get();
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code, ErrorCode::authentication_failed);
}

/// A login that is given up takes its question with it; the next one asks as if nothing were.
TEST_F(AppPrompterTest, CancelEndsTheQuestionsOfOneLoginOnly) {
  AppPrompter prompter(callbacks(asked_));
  auto answer = ask(prompter);
  const tunproxy_question former = asked_.get_future().get();
  given_up_.set();
  const auto none = answer.get();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::cancelled);
  EXPECT_FALSE(prompter.answer(former, Secret("late")));
  const auto unasked = prompter.ask("Code: ", false, given_up_);  // a second callback would throw
  EXPECT_EQ(unasked.error().code, ErrorCode::cancelled);

  asked_ = {};
  io::Event next;
  auto trusted = std::async(std::launch::async, [&] { return prompter.trust({}, next); });
  EXPECT_TRUE(prompter.answer(asked_.get_future().get(), Secret("yes")));
  const auto trust = trusted.get();
  ASSERT_TRUE(trust);
  EXPECT_EQ(*trust, Trust::yes);
}

TEST_F(AppPrompterTest, AWithdrawnQuestionAboutAKeyIsNoRefusal) {
  AppPrompter prompter(callbacks(asked_));
  auto trusted = std::async(std::launch::async, [&] { return prompter.trust({}, given_up_); });
  asked_.get_future().wait();
  given_up_.set();
  const auto trust = trusted.get();
  ASSERT_FALSE(trust);
  EXPECT_EQ(trust.error().code, ErrorCode::cancelled);
}

TEST_F(AppPrompterTest, NoQuestionOfAnotherRunHasTheSameNumber) {
  std::promise<tunproxy_question> asked_again;
  AppPrompter first(callbacks(asked_));
  AppPrompter second(callbacks(asked_again));
  auto one = ask(first);
  auto two = ask(second);
  const tunproxy_question of_first = asked_.get_future().get();
  const tunproxy_question of_second = asked_again.get_future().get();
  EXPECT_NE(of_first, of_second);
  EXPECT_FALSE(second.answer(of_first, Secret("misled")));
  EXPECT_TRUE(second.answer(of_second, Secret("right")));
  EXPECT_TRUE(first.answer(of_first, Secret("right")));
  EXPECT_TRUE(one.get());
  EXPECT_TRUE(two.get());
}

TEST_F(AppPrompterTest, WithoutCallbacksThereIsNobody) {
  AppPrompter prompter({});
  EXPECT_EQ(prompter.ask("Code: ", false, given_up_).error().code,
            ErrorCode::authentication_failed);
  EXPECT_EQ(*prompter.trust({}, given_up_), Trust::no);
}

}  // namespace
}  // namespace tunproxy::c_api

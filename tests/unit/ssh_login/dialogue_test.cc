// Dialogues that sshd does not have, against asyncssh: several rounds, an expired password.
#include <gmock/gmock.h>

#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using testing::DialogueServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kOld = "the old password";
constexpr const char* kNew = "the new password";

class DialogueTest : public testing::LoginTest {
 protected:
  void talk(const std::string& kind) {
    if (!DialogueServer::available()) GTEST_SKIP() << "needs python3-asyncssh";
    dialogue_.emplace(scratch_, kind);
    connect_ = [this] { return dialogue_->connect(); };
  }
  std::optional<DialogueServer> dialogue_;
};

TEST_F(DialogueTest, RoundsWithOneQuestionNoneAndTwo) {
  talk("rounds");
  if (IsSkipped()) return;
  user_.answers = {kOld, "blue", "123456"};
  EXPECT_EQ(log_in(options()), "");
  EXPECT_THAT(user_.questions, ElementsAre(HasSubstr("Password:"), HasSubstr("Colour?"),
                                           HasSubstr("Verification code:")));
  EXPECT_THAT(user_.echoes, ElementsAre(false, true, false));
  EXPECT_THAT(user_.shown, HasSubstr("Welcome\n"));
  EXPECT_THAT(user_.shown, HasSubstr("Nothing to ask here.\n"));

  EXPECT_FALSE(credentials_->repeatable());
  user_.answers = {"blue", "123456"};
  EXPECT_EQ(log_in(options()), "") << "the password is remembered, the code is not";
}

class OtherLanguages : public DialogueTest, public ::testing::WithParamInterface<const char*> {};

std::string language_of(const ::testing::TestParamInfo<const char*>& prompt) {
  const char* const names[] = {"German", "French", "Russian"};
  return names[prompt.index];
}

INSTANTIATE_TEST_SUITE_P(Passwords, OtherLanguages,
                         ::testing::Values("Passwort: ", "Mot de passe : ", "Пароль: "),
                         language_of);

TEST_P(OtherLanguages, APasswordIsRemembered) {
  talk(GetParam());
  if (IsSkipped()) return;
  user_.answers = {kOld};
  EXPECT_EQ(log_in(options()), "");
  EXPECT_TRUE(credentials_->repeatable());
  EXPECT_EQ(log_in(options()), "") << "nobody is asked again";
}

TEST_F(DialogueTest, ACodeIsNoneInOtherLanguagesEither) {
  talk("Einmalpasswort: ");
  if (IsSkipped()) return;
  user_.answers = {kOld};
  EXPECT_EQ(log_in(options()), "");
  EXPECT_FALSE(credentials_->repeatable());
}

TEST_F(DialogueTest, AnAnswerThatFailsInALaterRoundBeginsAnew) {
  talk("rounds");
  if (IsSkipped()) return;
  user_.answers = {kOld, "red", "0", kOld, "blue", "123456"};
  EXPECT_EQ(log_in(options()), "");
  EXPECT_TRUE(user_.answers.empty());
}

TEST_F(DialogueTest, NobodyToAnswerIsSaid) {
  talk("rounds");
  if (IsSkipped()) return;
  user_.answers = {kOld};
  EXPECT_THAT(log_in(options()), HasSubstr("keyboard-interactive (nobody answered its question)"));
}

TEST_F(DialogueTest, AnExpiredPasswordIsChangedAndTheNewOneRemembered) {
  talk("change");
  if (IsSkipped()) return;
  user_.answers = {kOld, kNew, "mistyped", kNew, kNew};
  EXPECT_EQ(log_in(options()), "");
  EXPECT_THAT(user_.shown, HasSubstr("Your password has expired."));
  EXPECT_THAT(user_.shown, HasSubstr("They differ"));
  for (const bool echo : user_.echoes) EXPECT_FALSE(echo);
  EXPECT_TRUE(credentials_->repeatable());
  EXPECT_EQ(log_in(options()), "") << "the new one is known";
  EXPECT_EQ(user_.questions.size(), 5U);
}

TEST_F(DialogueTest, AnExpiredPasswordWithNobodyThereSaysWhatToDo) {
  talk("change");
  if (IsSkipped()) return;
  auto nobody = options();
  nobody.prompter = nullptr;
  nobody.password = Secret(kOld);
  EXPECT_THAT(log_in(nobody), HasSubstr("the password has expired; change it with: ssh "));
}

}  // namespace
}  // namespace tunproxy::ssh

#include "core/tls/failure.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>

namespace tunproxy::tls {
namespace {

std::string reason_text(unsigned long code) {
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? text : fmt::format("error {:#x}", code);
}

std::string time_text(const ASN1_TIME* time) {
  BIO* out = BIO_new(BIO_s_mem());
  if (out == nullptr || ASN1_TIME_print(out, time) != 1) {
    BIO_free(out);
    return "?";
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(out, &text);
  std::string result(text, static_cast<size_t>(length));
  BIO_free(out);
  return result;
}

/// The peer wrote it, and it goes to the log and to terminals.
std::string printable(std::string_view text) {
  std::string shown(text);
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return shown;
}

/// The names that a certificate is for, or its subject.
std::string names_of(X509* certificate) {
  std::string names;
  auto* list = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list) && names.size() < 200; ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(list, i);
    if (one->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.dNSName));
    names += (names.empty() ? "" : ", ") +
             printable({text, static_cast<size_t>(ASN1_STRING_length(one->d.dNSName))});
  }
  GENERAL_NAMES_free(list);
  if (!names.empty()) return names;
  char subject[256] = "";
  X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  return subject;
}

std::string issuer_of(X509* certificate) {
  char issuer[256] = "";
  X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof issuer);
  return issuer;
}

/// Why the peer's certificate was not taken.
std::string verification_text(long result, X509* certificate, const std::string& name) {
  const std::string whose =
      name.empty() ? "the client's certificate" : "the certificate of " + name;
  if (certificate == nullptr) return whose + ": " + X509_verify_cert_error_string(result);
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("{} has expired (valid until {})", whose,
                         time_text(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("{} is not valid yet (from {}); is the clock right?", whose,
                         time_text(X509_get0_notBefore(certificate)));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("{} is for another name: {}", whose, names_of(certificate));
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return fmt::format("{} is by an authority that is not trusted here: {}", whose,
                         issuer_of(certificate));
    default:
      return fmt::format("{} is not accepted: {}", whose, X509_verify_cert_error_string(result));
  }
}

Error certificate_error(std::string text) {
  return {ErrorCode::authentication_failed, "TLS: " + std::move(text)};
}

Error protocol_error(std::string text) {
  return {ErrorCode::protocol, "TLS: " + std::move(text)};
}

/// A fatal alert that the peer sent.
Error alert_error(int reason) {
  switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return certificate_error("the peer does not trust the authority of our certificate");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return certificate_error("the peer does not accept our certificate");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return certificate_error("the peer says that our certificate has expired");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      return certificate_error("the peer says that our certificate is revoked");
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return certificate_error("the server wants a client certificate, and we have none for it");
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return protocol_error("the peer speaks none of the versions that are allowed here");
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return protocol_error(
          "the peer refused: no cipher in common, or it wants a client certificate");
    default:
      return protocol_error(fmt::format("the peer ended it with an alert ({})",
                                        reason_text(ERR_PACK(ERR_LIB_SSL, 0, reason))));
  }
}

bool is_alert(int reason) {
  return reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
}

}  // namespace

int note_rejection(int accepted, x509_store_ctx_st* store) {
  if (accepted == 1) return accepted;
  auto* connection =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* rejection = static_cast<Rejection*>(SSL_get_app_data(connection));
  rejection->reason = verification_text(X509_STORE_CTX_get_error(store),
                                        X509_STORE_CTX_get_current_cert(store), rejection->name);
  return accepted;
}

Error take_failure(const Rejection& rejection) {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  const bool from_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
  ERR_clear_error();
  if (!from_ssl) return protocol_error(code == 0 ? "the connection failed" : reason_text(code));
  if (is_alert(reason)) return alert_error(reason);
  switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return certificate_error(rejection.reason);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return certificate_error("the client showed no certificate, and one is wanted here");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
      return protocol_error("the peer speaks only versions of TLS that are too old");
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return protocol_error("the peer does not speak TLS; is it the right port?");
    case SSL_R_NO_SHARED_CIPHER:
      return protocol_error("no cipher in common with the peer");
    default:
      return protocol_error(reason_text(code));
  }
}

Error file_failure(const std::string& file) {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  return {ErrorCode::usage, fmt::format("TLS: {}: {}", file, reason_text(code))};
}

std::string plain_peer(Bytes first) {
  constexpr uint8_t kHandshake = 22;
  constexpr uint8_t kAlert = 21;
  if (first.empty() || first[0] == kHandshake || first[0] == kAlert) return {};
  if (first[0] == 4 || first[0] == 5) return "a SOCKS client without TLS";
  if (first[0] >= 'A' && first[0] <= 'Z') return "an HTTP client without TLS";
  return "a client without TLS";
}

}  // namespace tunproxy::tls

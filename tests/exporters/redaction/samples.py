"""Texts that each detector has to find, and texts that are none of its business."""

from __future__ import annotations

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
JWE = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcg.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZ"
HEX = "0123456789abcdef"

_MARKED: dict[str, tuple[str, ...]] = {
    "email": (
        "bob@example.com", "alice.smith+tag@mail.example.co.uk", "müller@bücher.de", "a@xn--bcher-kva.example",
        "BOB@EXAMPLE.COM", "o_brien-99@a-b.museum", "bob%40example.com",
    ),
    "card": (
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "2223003122003222",
        "378282246310005", "3782 822463 10005", "6011111111111117", "3530111333300000", "4222222222222",
        "30569309025904", "6200000000000005", "6759649826438453",
    ),
    "iban": (
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89370400440532013000", "GB29NWBK60161331926819",
        "GB29-NWBK-6016-1331-9268-19", "NL91ABNA0417164300", "NO9386011117947", "MT84MALT011000012345MTLCAST001S",
        "FR14 2004 1010 0505 0001 3M02 606",
    ),
    "phone": (
        "+491701234567", "+49 170 1234567", "+49 (0)170 1234567", "+1 415-555-2671", "+1.415.555.2671",
        "+44 20 7946 0958", "0049 170 1234567", "(415) 555-2671", "415-555-2671", "415.555.2671", "1-415-555-2671",
        "tel:«4155552671»",
    ),
    "key": (
        "sk-proj-abcdefgh12345678ijklmnop", "sk-ant-api03-" + "aB3" * 20, "sk-or-v1-" + HEX * 4,
        "sk-lf-0b7c1f9e-1111-4d2f-9e57-0242ac120002", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "AIzaSy" + "D4" * 17, "ya29.a0AfH6SMBx" + "1" * 20, "GOCSPX-" + "a1" * 14, "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9, "github_pat_" + "a1" * 41, "glpat-" + "x9" * 10, "xoxb-123456789012-" + "a1b2" * 6,
        "SG." + "a1" * 11 + "." + "b2" * 21, "hf_" + "a1b2c3" * 5, "gsk_" + "a1b2" * 13, "xai-" + "a1b2" * 20,
        "pplx-" + HEX * 3, "npm_" + "a1B2" * 9, "pypi-" + "AgEIcHlwaS5vcmc" * 4, "dop_v1_" + HEX * 4,
        "dapi" + HEX * 2, "hvs." + "CAESIJ" * 5, "key-" + HEX * 2, "110201543:AA" + "Hdqtcvch1vGWJxfSeofSAs0K5PALDsaw",
        "lsv2_pt_" + HEX * 2 + "_0123456789", "whsec_" + "a1" * 16, "AccountKey=" + "a1b2" * 20 + "==",
        "Bearer «abcdef1234567890»", "Authorization: Basic «dXNlcjpwYXNzd29yZA==»", "https://«user:s3cr3t»@example.com/",
        "https://example.com/?api_key=«abcdef123456»", "https://example.com/?a=1&token=«abcdef123456»",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ),
    "jwt": (JWT, JWE),
}  # fmt: skip

SECRETS = {name: tuple(text.split("«")[-1].split("»")[0] for text in texts) for name, texts in _MARKED.items()}
FOUND = {name: tuple(text.translate({0xAB: None, 0xBB: None}) for text in texts) for name, texts in _MARKED.items()}
"""What is planted, and which part of it has to be gone: the one between the marks, where there are some."""

CLEAN = (
    "gpt-4o-2024-08-06", "gpt-4o-mini", "claude-3-5-sonnet@20241022", "gemini-2.5-flash-preview-04-17", "o3-mini-2025-01-31",
    "text-embedding-3-large", "models/gemini-2.0-flash-001", "chatcmpl-9Xk2VbQ7TzL0aBcDeFgHiJkLmNoPq",
    "resp_68a1f2c3d4e5f60718293a4b5c6d7e8f", "req_011CSHoEeqs5C35K2UUqR7Fy", "call_abc123DEF456", "fp_44709d6fcb",
    "550e8400-e29b-41d4-a716-446655440000", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "2024-08-06T12:34:56.789012Z", "2024-08-06 12:34:56+02:00",
    "1722945296", "1722945296789", "1722945296789012345", "1722945296.789012", "0.4111111111111111", "-1.4111111111111111e-05",
    "1.2.3", "3.11.4+local.1", "2024.8.6.1234", "v1.0.0-rc.1", "react@18.2.0", "pkg@1.0.0-beta.rc", "10.0.0.1", "192.168.178.20:8080",
    "fe80::1", "prompt_tokens: 1234, completion_tokens: 567, total: 1801", "250 300 1200", "sk-learn is scikit-learn",
    "sk-learn-contrib-lightning-py", "task-1234567890123456", "C++17 and c++20", "3 + 1234567890", "@decorator", "a@b",
    "git commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "https://example.com/v1/chat?limit=100&order=desc", "4111111111111112", "DE89370400440532013001", "1234 5678 9012 3456",
    "file:///tmp/a:b@c", "12/31/2024", "06.08.2024", "1,234,567,890", "$4,111,111,111", "ISBN 978-3-16-148410-0",
)  # fmt: skip
"""Model names, ids, numbers, dates, versions, addresses, and numbers with a wrong check digit."""

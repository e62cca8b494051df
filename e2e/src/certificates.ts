import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto as Crypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Signed {
  certificate: x509.X509Certificate;
  keys: webcrypto.CryptoKeyPair;
}

/** A certificate authority of a test, made anew. */
export class TestAuthority {
  readonly #root: Signed;

  private constructor(root: Signed) {
    this.#root = root;
  }

  static async create(): Promise<TestAuthority> {
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=test root",
      keys: keys as { publicKey: CryptoKey; privateKey: CryptoKey },
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() - HOUR),
      notAfter: new Date(Date.now() + DAY),
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority({ certificate, keys });
  }

  /** Writes ca.pem and ca-key.pem into `dir`: all that another needs to be this authority. */
  async writeRoot(dir: string): Promise<void> {
    writeFileSync(join(dir, "ca.pem"), `${this.#root.certificate.toString("pem")}\n`);
    const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", this.#root.keys.privateKey);
    writeFileSync(join(dir, "ca-key.pem"), x509.PemConverter.encode(pkcs8, "PRIVATE KEY"), { mode: 0o600 });
  }

  /** Writes ca.pem, cert.pem and key.pem into `dir`, as docker's DOCKER_CERT_PATH wants them. */
  async issue(
    dir: string,
    name: string,
    options: { addresses?: string[]; expired?: boolean } = {},
  ): Promise<string> {
    const keys = await newKeys();
    const end = options.expired ? Date.now() - HOUR / 2 : Date.now() + DAY;
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: this.#root.certificate.subject,
      publicKey: keys.publicKey as CryptoKey,
      signingKey: this.#root.keys.privateKey as CryptoKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() - HOUR),
      notAfter: new Date(end),
      extensions: [
        new x509.SubjectAlternativeNameExtension(
          (options.addresses ?? []).map((value) => ({ type: "ip" as const, value })),
        ),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
      ],
    });
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "ca.pem"), this.#root.certificate.toString("pem"));
    writeFileSync(join(dir, "cert.pem"), certificate.toString("pem"));
    const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
    writeFileSync(join(dir, "key.pem"), x509.PemConverter.encode(pkcs8, "PRIVATE KEY"), { mode: 0o600 });
    return dir;
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, [
    "sign",
    "verify",
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

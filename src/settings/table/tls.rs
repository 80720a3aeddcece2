//! TLS.

use super::{Bool, Every, Int, OneOf, Setting, Takes, Text, both, unwise};
use crate::settings::SettingRule::Followed;

const PASSWORD: &str = "who may read the ensemble may read the password: mount it, and set passwordPath";

// The words of `KeyStoreFileType` and `X509Util.ClientAuth`; ZooKeeper turns both into capitals before it reads them.
// Which names of protocols, ciphers and providers are valid depends on the JVM and Netty of the image, so they are not
// checked.
const STORE: Takes = OneOf(&["JKS", "PEM", "PKCS12", "BCFKS"]);
const CLIENT_AUTH: Takes = OneOf(&["none", "want", "need"]);

pub const SETTINGS: &[Setting] = &[
    both("client.portUnification", Bool, Followed),
    both("client.certReload", Bool, Followed).since(&[(8, 5)]),
    both("fips-mode", Bool, Followed).since(&[(8, 2)]),
    both("ssl.authProvider", Text, Followed),
    both("ssl.sslProvider", Text, Followed).since(&[(9, 0)]),
    both("ssl.keyStore.location", Text, Followed),
    both("ssl.keyStore.password", Text, unwise(Every, PASSWORD)),
    both("ssl.keyStore.passwordPath", Text, Followed),
    both("ssl.keyStore.type", STORE, Followed),
    both("ssl.trustStore.location", Text, Followed),
    both("ssl.trustStore.password", Text, unwise(Every, PASSWORD)),
    both("ssl.trustStore.passwordPath", Text, Followed),
    both("ssl.trustStore.type", STORE, Followed),
    both("ssl.protocol", Text, Followed),
    both("ssl.enabledProtocols", Text, Followed),
    both("ssl.ciphersuites", Text, Followed),
    both("ssl.context.supplier.class", Text, Followed),
    both("ssl.hostnameVerification", Bool, Followed),
    both("ssl.clientHostnameVerification", Bool, Followed).since(&[(9, 4)]),
    both("ssl.allowReverseDnsLookup", Bool, Followed).since(&[(8, 6), (9, 5)]),
    both("ssl.crl", Bool, Followed),
    both("ssl.ocsp", Bool, Followed),
    both("ssl.clientAuth", CLIENT_AUTH, Followed),
    both("ssl.handshakeDetectionTimeoutMillis", Int, Followed),
    both("ssl.quorum.keyStore.location", Text, Followed),
    both("ssl.quorum.keyStore.password", Text, unwise(Every, PASSWORD)),
    both("ssl.quorum.keyStore.passwordPath", Text, Followed),
    both("ssl.quorum.keyStore.type", STORE, Followed),
    both("ssl.quorum.trustStore.location", Text, Followed),
    both("ssl.quorum.trustStore.password", Text, unwise(Every, PASSWORD)),
    both("ssl.quorum.trustStore.passwordPath", Text, Followed),
    both("ssl.quorum.trustStore.type", STORE, Followed),
    both("ssl.quorum.protocol", Text, Followed),
    both("ssl.quorum.enabledProtocols", Text, Followed),
    both("ssl.quorum.ciphersuites", Text, Followed),
    both("ssl.quorum.context.supplier.class", Text, Followed),
    both("ssl.quorum.hostnameVerification", Bool, Followed),
    both("ssl.quorum.clientHostnameVerification", Bool, Followed).since(&[(9, 4)]),
    both("ssl.quorum.allowReverseDnsLookup", Bool, Followed).since(&[(8, 6), (9, 5)]),
    both("ssl.quorum.crl", Bool, Followed),
    both("ssl.quorum.ocsp", Bool, Followed),
    both("ssl.quorum.clientAuth", CLIENT_AUTH, Followed),
    both("ssl.quorum.handshakeDetectionTimeoutMillis", Int, Followed),
];

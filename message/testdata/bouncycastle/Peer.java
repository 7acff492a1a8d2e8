// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.*;
import java.util.*;
import org.bouncycastle.asn1.*;
import org.bouncycastle.asn1.cms.*;
import org.bouncycastle.asn1.ess.*;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.IssuerSerial;
import org.bouncycastle.cert.jcajce.*;
import org.bouncycastle.cms.*;
import org.bouncycastle.cms.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.jcajce.*;

/**
 * Seals and opens messages with Bouncy Castle. Each line of input is a command, of
 * fields that tabs separate; the answer is a line that begins with ok or error.
 */
public class Peer {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        System.out.println("ready " + Security.getProvider("BC").getVersionStr());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String[] f = line.split("\t", -1);
            try {
                System.out.println("ok " + (f[0].equals("seal") ? seal(f) : open(f)));
            } catch (Throwable e) {
                e.printStackTrace();
                System.out.println("error " + e.toString().replace('\n', ' '));
            }
        }
    }

    /** seal CIPHER AGREEMENT WRAP CERT ATTRIBUTES UKM IN OUT [SIGNER-CERT SIGNER-KEY ALGORITHM SCHEME BIND] */
    static String seal(String[] f) throws Exception {
        X509Certificate cert = certificate(f[4]);
        String algorithm = cert.getPublicKey().getAlgorithm();
        boolean ec = algorithm.startsWith("EC");
        KeyPairGenerator pairs = KeyPairGenerator.getInstance(ec ? "EC" : "X25519", "BC");
        if (ec) {
            pairs.initialize(new ECGenParameterSpec("P-256"));
        }
        KeyPair pair = pairs.generateKeyPair();
        byte[] plain = Files.readAllBytes(Path.of(f[7]));
        CMSTypedData data = new CMSProcessableByteArray(plain);
        if (f.length > 9) {
            CMSSignedDataGenerator signed = new CMSSignedDataGenerator();
            X509Certificate signer = certificate(f[9]);
            JcaSimpleSignerInfoGeneratorBuilder builder = new JcaSimpleSignerInfoGeneratorBuilder().setProvider("BC");
            if (f[13].equals("bind")) {
                ASN1EncodableVector names = new ASN1EncodableVector();
                names.add(new Attribute(PKCSObjectIdentifiers.id_aa_signingCertificateV2, new DERSet(
                    new SigningCertificateV2(new ESSCertIDv2[] {certificateHash(new JcaX509CertificateHolder(signer))}))));
                builder.setSignedAttributeGenerator(new DefaultSignedAttributeTableGenerator(new AttributeTable(names)));
            }
            signed.addSignerInfoGenerator(builder.build(f[12], key(f[10], f[11]), signer));
            signed.addCertificate(new JcaX509CertificateHolder(signer));
            data = new CMSProcessableByteArray(CMSObjectIdentifiers.signedData,
                signed.generate(data, true).toASN1Structure().getContent().toASN1Primitive().getEncoded());
        }
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        JceKeyAgreeRecipientInfoGenerator recipient = new JceKeyAgreeRecipientInfoGenerator(
            new ASN1ObjectIdentifier(f[2]), pair.getPrivate(), pair.getPublic(), new ASN1ObjectIdentifier(f[3]))
            .addRecipient(cert).setProvider("BC");
        if (!f[6].isEmpty()) {
            recipient.setUserKeyingMaterial(f[6].getBytes());
        }
        generator.addRecipientInfoGenerator(recipient);
        if (f[5].equals("attributes")) {
            // RFC 5083, Section 2.1: the content type and no digest.
            generator.setAuthenticatedAttributeGenerator(new SimpleAttributeTableGenerator(new AttributeTable(
                new Attribute(CMSAttributes.contentType, new DERSet(data.getContentType())))));
        }
        OutputAEADEncryptor encryptor = (OutputAEADEncryptor)
            new JceCMSContentEncryptorBuilder(new ASN1ObjectIdentifier(f[1])).setProvider("BC").build();
        Files.write(Path.of(f[8]), generator.generate(data, encryptor).getEncoded());
        return "";
    }

    /** open KEY ALGORITHM IN OUT SIGNED */
    static String open(String[] f) throws Exception {
        PrivateKey key = key(f[1], f[2]);
        CMSAuthEnvelopedData message = new CMSAuthEnvelopedData(Files.readAllBytes(Path.of(f[3])));
        Exception last = new Exception("no recipient");
        for (RecipientInformation r : message.getRecipientInfos().getRecipients()) {
            try {
                byte[] plain = r.getContent(recipient(key));
                String signer = "";
                if (f[5].equals("signed")) {
                    CMSSignedData signed = new CMSSignedData(plain);
                    for (SignerInformation s : signed.getSignerInfos().getSigners()) {
                        org.bouncycastle.cert.X509CertificateHolder holder = (org.bouncycastle.cert.X509CertificateHolder)
                            signed.getCertificates().getMatches(s.getSID()).iterator().next();
                        if (!s.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(holder))) {
                            throw new Exception("the signature is wrong");
                        }
                        SigningCertificateV2 named = SigningCertificateV2.getInstance(s.getSignedAttributes()
                            .get(PKCSObjectIdentifiers.id_aa_signingCertificateV2).getAttributeValues()[0]);
                        if (named.getCerts().length != 1 || !named.getCerts()[0].equals(certificateHash(holder))) {
                            throw new Exception("the signature names another certificate");
                        }
                        signer = "signed";
                    }
                    ByteArrayOutputStream content = new ByteArrayOutputStream();
                    signed.getSignedContent().write(content);
                    plain = content.toByteArray();
                }
                Files.write(Path.of(f[4]), plain);
                return signer;
            } catch (Exception e) {
                last = e;
            }
        }
        throw last;
    }

    /** The certificate by its SHA-256 hash, issuer and serial number. */
    static ESSCertIDv2 certificateHash(org.bouncycastle.cert.X509CertificateHolder c) throws Exception {
        return new ESSCertIDv2(MessageDigest.getInstance("SHA-256").digest(c.getEncoded()), new IssuerSerial(
            new GeneralNames(new GeneralName(c.getIssuer())), new ASN1Integer(c.getSerialNumber())));
    }

    /** The recipient of authenticated messages, which early versions do not have. */
    static KeyAgreeRecipient recipient(PrivateKey key) throws Exception {
        try {
            return (KeyAgreeRecipient) ((JceKeyAgreeRecipient) Class.forName("org.bouncycastle.cms.jcajce.JceKeyAgreeAuthEnvelopedRecipient")
                .getConstructor(PrivateKey.class).newInstance(key)).setProvider("BC");
        } catch (ClassNotFoundException e) {
            return new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
        }
    }

    static X509Certificate certificate(String file) throws Exception {
        try (InputStream in = new FileInputStream(file)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509", "BC").generateCertificate(in);
        }
    }

    static PrivateKey key(String file, String algorithm) throws Exception {
        return KeyFactory.getInstance(algorithm, "BC").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of(file))));
    }
}

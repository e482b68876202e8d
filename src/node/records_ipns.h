/* The layout of an IPNS record, for the two files that read and write it. */
#ifndef KAD_NODE_RECORDS_IPNS_H
#define KAD_NODE_RECORDS_IPNS_H

/* Fields of the protobuf. */
enum kad__ipns_field {
  KAD__IPNS_VALUE = 1,
  KAD__IPNS_SIGNATURE_V1 = 2,
  KAD__IPNS_VALIDITY_TYPE = 3,
  KAD__IPNS_VALIDITY = 4,
  KAD__IPNS_SEQUENCE = 5,
  KAD__IPNS_TTL = 6,
  KAD__IPNS_PUBLIC_KEY = 7,
  KAD__IPNS_SIGNATURE_V2 = 8,
  KAD__IPNS_DATA = 9
};

/* What the V2 signature covers in front of the data. */
#define KAD__IPNS_SIGNATURE_PREFIX "ipns-signature:"

/* The keys of the data's map, in the order of DAG-CBOR: by length first. */
#define KAD__IPNS_KEYS \
  { "TTL", "Value", "Sequence", "Validity", "ValidityType" }
/* Room for any of them and its NUL. */
#define KAD__IPNS_KEY_SIZE sizeof("ValidityType")
enum kad__ipns_key {
  KAD__IPNS_KEY_TTL,
  KAD__IPNS_KEY_VALUE,
  KAD__IPNS_KEY_SEQUENCE,
  KAD__IPNS_KEY_VALIDITY,
  KAD__IPNS_KEY_VALIDITY_TYPE,
  KAD__IPNS_KEY_COUNT
};

/* The only type of validity: valid until a time. */
#define KAD__IPNS_EOL 0

#endif

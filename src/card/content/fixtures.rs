//! Small files that tools of others wrote, as tests know them.
//!
//! By CPython 3.11.7 (pickle, zipfile, tarfile, gzip, bz2, lzma, py_compile), numpy 2.4.6, joblib 1.6.0, cloudpickle 3.1.2, h5py 3.16.0,
//! py7zr 1.1.4, zstandard 0.25.0, safetensors 0.8.0 and gguf 0.19.0. The pickles named EVIL call `os.system("id")`; nothing here
//! unpickles them. Each is base64 of its bytes as `zlib.compress(…, 9)` packs them.

use base64::Engine as _;

/// The bytes of a fixture.
pub(super) fn bytes(fixture: &str) -> Vec<u8> {
    let packed = base64::engine::general_purpose::STANDARD.decode(fixture).unwrap();
    miniz_oxide::inflate::decompress_to_vec_zlib(&packed).unwrap()
}

pub(super) const PICKLE_EVIL_0: &str = "eNpLLsgvzqzgKq4sLknN5Sow4NIIy0zhKjDkKikw4goqMObSAwDKmwpH";

pub(super) const PICKLE_DATA_0: &str = "\
    eNoVizEOgkAUBfs5yVZkF0X0AiY0FBa/Nd+FgoTgS5aCcHrXbjKTCZMi5igRVrUMCX+2TYfbgS746EOsLtSw64oX+6CO\
    /M7fac6FefsDuhHsRD22+r5sCd3r8OClFCnND5eTHDM=";

pub(super) const PICKLE_EVIL_1: &str = "eNpLLsgvzqzgKq4sLknN5Spk0IhgYmBgyEwpZCwpZAoqZNYDALS8CV0=";

pub(super) const PICKLE_DATA_1: &str = "\
    eNqrLWTQiGBkYGBILGSMLWTS8GZ0d2BhAAOwcEUhs5+ngSEXUKKkkCUVLJZUyJocn5yfkppczJWaB2JwFbJBTKkqZI9g\
    A9I5iSWZeYaFHCWFnEGFXKV6ABgiFmk=";

pub(super) const PICKLE_EVIL_2: &str = "eNprYEouyC/OrOAqriwuSc3lKmSIYGJgYMhMKWRsLWQKKmTWAwC+DgnI";

pub(super) const PICKLE_DATA_2: &str = "\
    eNprYKotZNCIYGRgYEgsZIwtZNLwZnR3YGEAA7BwRSGzX4c3Y2shSyqYn1TImhyfnJ+SmlzMlZoHYnAVsoFlqgrZI9iA\
    dE5iSWaeYSFHWyFnUCFXqR4ADjEWkg==";

pub(super) const PICKLE_EVIL_3: &str = "eNprYE4uyC/OrOAqriwuSc3lKmSIYGJgYMhMKWRsLWQKKmTWAwC+LwnJ";

pub(super) const PICKLE_DATA_3: &str = "\
    eNprYK4tZNCIYGRgYEgsZIwtZNLwZnR3YGEAA7BwRSGzX4c3Y2shSyqYn1TI6sxYVchWqgcATT0LZA==";

pub(super) const PICKLE_EVIL_4: &str = "\
    eNprYJkqywABPawF+cWZFVN62Iori0tSc6dMntLDlJkypXVK0BQ9AOXmDZ0=";

pub(super) const PICKLE_DATA_4: &str = "\
    eNprYJmqxQABtVM0ehgTp8RO0fBmdHdggQj2MFZM8evwZmydktrDmDTFmbFqSqkeAEE9DaA=";

pub(super) const PICKLE_EVIL_5: &str = "\
    eNprYJ0qywABPawF+cWZFVN62Iori0tSc6dMntLDlJkypXVK0BQ9AOYNDZ4=";

pub(super) const PICKLE_DATA_5: &str = "\
    eNprYJ2qxQABtVM0ehgTp8RO0fBmdHdggQj2MFZM8evwZmydktrDmDTFmbFqSqkeAEFxDaE=";

pub(super) const CLOUDPICKLE: &str = "\
    eNprYJ36gJEBDHrEk3PyS1MKMpOzc1L1kNhTevjicxOzU+PTSvOSSzLz86ZMnqKRwdDDG59UmplTkpkXX1JZkAoU7OFw\
    zk9JDQFxWqcETdHwZvRmAEJGbyZvZmee6Qw1DCmMVUCbghmm+Hkztk3R7GGsAKrsUdAvzy/K1i9OLkosSc7QT87PK0nN\
    K9EtqNQHWatXUAk02SYnMTcpJdEOmenN48zVwLCicIPgSgBcFkX3";

pub(super) const TORCH_LEGACY: &str = "\
    eNprYOriyvkzx+2nQtaKAEm9Bibfl8xAsraQQSNCgIGBoaAovyQ/OT8nviy1qDgzP6+QEaggghcok5NZUpKTGp+al5KZ\
    mFfI1BHBBRQsqSxIjS/OrEotLmSuLWTRiGAFChZn5BeVFLJ6M0UwA3mZeSWFbN4sESwgM/Lz0gvZvVlKS4F2JhfkF2dW\
    cBVXFpek5nIVMkQwgVSnFDK2FjIFFTLrAQA+hjL3";

pub(super) const TORCH_ZIP: &str = "\
    eNoL8GZmEWGAAEWG2t/7tqYAWSAsAMSJRckZmWWp+imJJYl6Bdk5DUy1hQwaEYwgqULG2EImDW9GdwcWiHawcEUhs1+H\
    N2NrIUsqmJ9UyJocn5yfkppczJWaB2JwFbKBZaoK2SPYgHROYklmnmEhR1shZ1AhV6leAIqLLs5LD2UCskCYH8lFZalF\
    xZn5ecZcqMoz7yulcgBZIMyH5gF9A6gyhgBvRiYRZtzehoEGkDsxAgFdN7oTEbonYToYXTO6gxGaD2I4P8CbFRRgDMxA\
    uB1IfwWrBADtX1Oe";

pub(super) const ZIP_IMAGES: &str = "\
    eNoL8GZmEWFgYOAAYkWGVF8rVVYgixmIOYE4Mzdd31AvqyD9d/1je4YAFLVHBaarsAFZLEDMB1Wbk5iUmlOsl1xc5n3F\
    8xETUAcjkwgzbvNhoIGRAdk2dG3oViG06WBYHODNClLKwASExUA6DqwSAO5dIZI=";

pub(super) const ZIP_IN_ZIP: &str = "\
    eNoL8GZmEWFgYOAAYkWGYsfal1ZAVh4QcwJxZl5eapFeVWYB94e0NMHEBgbXtrtb4+2NGSMVznAdEa1ivWlZV8V4r8dH\
    6cyOqQcdmJWZfYIbzLWlOw5ztBxziBJdw8AQ4M3IJMKM2woYaGBkQLYwwJuVDSTACITmQDoRrAgApnslrA==";

pub(super) const NPZ_STORED_PLAIN: &str = "\
    eNoL8GZm0WWAAEWG7w5Cr/5DASuDCEOFXl5BJSODAMMMqBIYPdkv1DcgkpGhjKFaPSW1OLlI3UpB3SbTQl1HQT0tv6ik\
    KDEvPr8oJRUk7paYU5wKFC/OSCxIBfI1jHU0dRRqFSgAXFBnMDBCaSYoHeDNyKTLjOqhGVB3szIgQANYI9h7Ad6sbBCj\
    GBmMgfR5sAIAmIEygg==";

pub(super) const NPZ_STORED_OBJECTS: &str = "\
    eNoL8GZm0WWAAEWG7w5Cr/5DASuDCEOFXl5BJSODAMMMqBIYPdkv1DcgkpGhjKFaPSW1OLlI3UpB3SbTQl1HQT0tv6ik\
    KDEvPr8oJRUk7paYU5wKFC/OSCxIBfI1jHU0dRRqFSgAXFBnMDBCaSYoHYDinU9Mi3Yge6cS5h0JqD4YjdU7Nf5E+caI\
    Yt8ocDWwTO2FurpHLK80t6BSLz45vyhVL7c0pyQzsagosXJKD098UWpyfl5xSVFpcsmUyVN6WMEqp/Sw56VAlEye4s3Q\
    OsWZMWlK+5SgKRrejN5MrVMymHtYU0oqC1JBWpj8LaZ0dkBkmXsYa6b4+fl5gYIHTHjbl0xJ6owF6fRLBTL1ArwZmXSZ\
    UdPHDGgyYGVAgAZwOIJTC7oWUByAghmEUbWcB5KVEC2sbJBIZGJIA9Jy4NgEAFVQn4k=";

pub(super) const NPZ_DEFLATED_PLAIN: &str = "\
    eNoL8GZm0WVgYOAAYkWG7w5Cr/5DASuDCEOFXl5BJSODAMMMBgjwgdKz34i/khY4eSLgWMDaeZOi5sQsyVu6IG9y5sJ1\
    ixfMmxYfEjRlhvj8+CmTuITKvc9o+rF2iaeriC1h+il1zGqWFddWLhEGPTaNhJZLPgFSDAHejEy6zKiOANkDspOVAQEa\
    GEEk2EkB3qxsIA4jEBoD6WawAgC7zzWx";

pub(super) const NPZ_DEFLATED_OBJECTS: &str = "\
    eNoL8GZm0WVgYOAAYkWG7w5Cr/5DASuDCEOFXl5BJSODAMMMBgjwgdKz34i/khY4eSLgWMDaeZOi5sQsyVu6IG9y5sJ1\
    ixfMmxYfEjRlhvj8+CmTuITKvc9o+rF2iaeriC1h+il1zGqWFddWLhEGPTaNhJZLPgFSDAEoTvjEtGgHshMqYU6QYIRY\
    fQSfE+Ier8dwQRmqC9wgLpjCsI5t2sq9PAIXlKeFz4oOWCk+f078lFXTo2cFT5oZETIlwnJpu/o+DVNL+/U7lqww2Zly\
    6omm7ZqEqcFVNz4HKXip+X9My5j76MwMk6W1XhdEePPd8pdd05Q8Y7tGU3Uq60oFXZ9/YsFW1gqbztj2mAb/+fNnzz9m\
    xhkftunPnHRFkvvSy+lcKa8YgV5nZNJlRg1/UBCDgpuVAQEawH4Hxwa6FlB4gYIEFDyoWpqBZCVECysbSIgJCNOAdB3Y\
    NAA2h6R1";

pub(super) const NPY_PLAIN: &str = "\
    eNqb7BfqGxDJyFDGUK2eklqcXKRupaBuk2mhrqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RrGOpo6CrUKFAAu\
    BihghNJMUBoA5xAbZA==";

pub(super) const NPY_OBJECTS: &str = "\
    eNqb7BfqGxDJyFDGUK2eklqcXKRupaBe46+uo6Cell9UUpSYF59flJIKEnZLzClOBYoXZyQWpAL5GoY6mjoKtQqUAK4G\
    lqndDBDQI5ZXmltQqRefnF+UqpdbmlOSmVhUlFg5pYcnvig1OT+vuKSoNLlkyuQpPaxglVN62PNSIEomT/FmaJ3izJg0\
    pX1K0BQNb0ZvxtYpGcw9rCkllQWpIC1M/hZTOjsgssw9jDVT/Pz8vP4DAZjwti+ZktQZO6V2SiKQoQcADntZSg==";

pub(super) const NPY_FIELDS: &str = "\
    eNqb7BfqGxDJyFDGUK2eklqcXKRupRCtoe5fkJqnrqOgbpNmoa6powAUiM8E8zNN1DVjgYy0/KKSosS8+PyilFSQHrfE\
    nOJUoHhxRmJBKpCvYagD1FerQABwMYDBB3smIAkAFWEftw==";

pub(super) const NPY_FIELDS_OBJECTS: &str = "\
    eNqFj7FLw0AUxu9MiyIdqoOLS7ZLIRS6SJFCB0HBw0QEBZES0uTCCW0SLok02IJLo4Xb8vw/XZz1rlnq5De8x/fe74P3\
    auf+5vYRoxf0SkKWBYKcm08WcVMWE9sko2hIerZpkYV2S5f0JqpHiciFH3uJCJkOXPqzjKl5xv2UKW8NbBVamf/r8K31\
    +Y0ayZO4mKdl3wsSwfrzYpY/+0L4JciOJ1iQxFkuiiCHGmR7S4Lcj8MGqYGiNVzgKbzDHVgUU7wGbsh2mJcp0xHjYXAG\
    m49mbUi8BEe29Jsg8QIqWIHFj3hH7kXDXWwEjuNc/yhtC0U5TCmqgB9r1t1hefcvOdbkQQUF7apzTpXbTOBq/NU861Tg\
    q1H/F+kdhIY=";

pub(super) const JOBLIB: &str = "\
    eNprYJl6nQECaqf0MCZO6RHOyk/KyUzSyyvNLaiML8hMzs5JndIj6AfiOhYVJVaGFyUWFKQWTZk8RbNxSu0UjR6O4tKk\
    5JzE4uIpPaxgXVN62PNSEkFqgYp6WIszEgtSp3gztQLZ+UUpQK09jM5AdkpJJVA8gwPGAqplyrSY0tnRPiVoioY3cw+j\
    zRQ/Pz+v/0AAJrwZSqYk9XAl5uTkl8fn5iYWTOnokYa4E2xbfGJOZnpebmpeSXxSZUlq8RRvgdIk3v/IAOpXBkYoXawH\
    AIxXato=";

pub(super) const JOBLIB_ZLIB: &str = "\
    eNoB1QAq/3hea2CZep0BAmqn9DAmTukRzspPyslM0ssrzS2ojC/ITM7OSZ3SI+gH4joWFSVWhhclFhSkFk2ZPEWzcUrt\
    FI0ejuLSpOScxOLiKT2sYF1TetjzUhJBaoGKeliLMxILUqd4M7UC2flFKUCtPYzOQHZKSSVQPIMDxgKqZcq0mNLZ0T4l\
    aIqGN3MPo80UPz8/r/9AACa8GUqmJPVwJebk5JfH5+YmFkzp6JGGuBNsW3xiTmZ6Xm5qXkl8UmVJavEUb4HSJF6QTjiA\
    +pWBEcoo1gMAjFdq2seqYWI=";

pub(super) const JOBLIB_GZIP: &str = "\
    eNoB4QAe/x+LCAAAAAAAAANrYJl6nQECaqf0MCZO6RHOyk/KyUzSyyvNLaiML8hMzs5JndIj6AfiOhYVJVaGFyUWFKQW\
    TZk8RbNxSu0UjR6O4tKk5JzE4uIpPaxgXVN62PNSEkFqgYp6WIszEgtSp3gztQLZ+UUpQK09jM5AdkpJJVA8gwPGAqpl\
    yrSY0tnRPiVoioY3cw+jzRQ/Pz+v/0AAJrwZSqYk9XAl5uTkl8fn5iYWTOnokYa4E2xbfGJOZnpebmpeSXxSZUlq8RRv\
    gdIkXpBOOID6lYERyijWAwBcj8fpAgEAADk7Ybg=";

pub(super) const JOBLIB_XZ: &str = "\
    eNoBDAHz/v03elhaAAAE5ta0RgIAIQEUAAAA/+fsCeABAQDJXQBAAQ57Z4GVmzqe7kckMvaCvmzRYn/nm8o7qTxs7vj0\
    PP14BsxEOCaBBdTZNbQcYRKudIFjnTy9kIW1NFDCQKXd3eNUotO+aIR0K7fXmz801tYIkJkOVB7AwczfKq+zsIJZVIMa\
    XISNBDe8BYYxyfpM1KVVV8LfrZsC2n2PxDVTHtiPXX4nhqXbVxB6czM+63Z6M1XOSqDR/LOQLC+mP0yRVJnFQSfiw8fe\
    h3+ErBLqA+dHzQdDsTqqkkZa8/MYtwNuOLcilkQ2SU8AAAAAocvTumVgiuIAAeUBggIAAILdaPyxxGf7AgAAAAAEWVqj\
    D3o1";

pub(super) const JOBLIB_BZ2: &str = "\
    eNoB/wAA/0JaaDMxQVkmU1nsWm5bAABa/+L+8mgIAGEARCgZEIC+/96iYuQOAACAAACwALtqGpGkZMaJiMTTJkMIMRkw\
    EeoNTSnih6JkyeoaA00AAPUeU0MggiNBMjEwmIYIyDEDEaMhZLHEAzCFX6AGSAivOI0oNOgw5CfxzZvKdgFIyOBQkg3l\
    592ORzUc2oNG+QnWYkMdanEML5SERW14Z0pLY0Pj8BJtrTgE113mp29BZo0QXRYAQvgJxtSDApXLUlBvNyE/rVPrJclg\
    BCgZD2NF2bvR9qUFEAwgOMBwojU+65mU13kVM+TrXot+LGrwURLkfIgBwf+LuSKcKEh2LTctgOezaXI=";

pub(super) const JOBLIB_LZMA: &str = "\
    eNoB3QAi/10AAEAA//////////8AQAEOe2eBlZs6nu5HJDL2gr5s0WJ/55vKO6k8bO749Dz9eAbMRDgmgQXU2TW0HGES\
    rnSBY508vZCFtTRQwkCl3d3jVKLTvmiEdCu315s/NNbWCJCZDlQewMHM3yqvs7CCWVSDGlyEjQQ3vAWGMcn6TNSlVVfC\
    362bAtp9j8Q1Ux7Yj11+J4al21cQenMzPut2ejNVzkqg0fyzkCwvpj9MkVSZxUEn4sPH3od/hKwS6gPnR80HQ7E6qpJG\
    WvPzGLcDbji3IpZFoSjCP/8rqEAAIqBuvA==";

pub(super) const HDF5_PLAIN: &str = "\
    eNrr9HBx4+WS4mLm4GCAgf9QsFkAwjeAimcJPnzq7+ESxMRQwSSErBAGuJgYGBkYRIUYWDDleOwZGJgZ+BhEQJKpecn5\
    KZl56bollQWpDJKMjAwgq0CYEWwTBwMTkGQH4s1QuyHiDLyLehe6O/v7gLkCKFJg5SCQmJeXkliSCPfODX6GUTAKRsEo\
    GAWjYBSMglEwCkbBKBgFo2AUDDEAAIEtPC0=";

pub(super) const HDF5_KERAS: &str = "\
    eNrr9HBx4+WS4mLm4GCAgf9QsFkAwjeAimcJPnzq7+ESxMRQwSSErBAGuJgYGBkYRIUYWDDleOwZGJgZ+BhEQJLZqUWJ\
    xfFlqUXFmfl5DJKMjAwgq0CYEWwTBwMTkGQD4s1QuyHiDEnvOja6O/v7gLkCKFJg5SBgpGdoqmcA9w3DDX6GUTAKRsEo\
    GAWjYBSMglEwCkbBKBgFo2AUDDEAAI0/O2k=";

pub(super) const SEVEN_ZIP: &str = "\
    eNozr9qzXl2GgeVerv36yQwQIAKltYWcTBgZFBuYkgvyizMruIori0tSc7kKGSKYgLKZKYWMrYVMQYXMegwPGDIYUmMZ\
    GBqN2dfxX8is3TPfUmBO7u+sGLcTPcqpLlIK5R6fgyK4/b803fGXXLjXlutFx4t7Sw/Luc740BuovJxrM4Op9pn46x8M\
    9u0+e3Xq2fwI7sun+YIzmCQPL0vZ+/RC8JtciS1lh/wf/V0AtFicTY2RM5eBnZuRgVFRkVGCJ5OBAQBmr0PX";

pub(super) const TAR_PLAIN: &str = "\
    eNrt1DEKwkAQBdA5iicIuzFszmMlpNBgFATx7i4iFukTCb7X/GGaqebnZhiPsaxUla57ZzXPnPff+bMvJbWxS7GC23Q9\
    XOrJ+E93WECwCbkZpvPpp/1ftfP+7/uk/9fwePoBAAAAAAAAANi6F/xgNmQ=";

pub(super) const TAR_GNU_LONG: &str = "\
    eNrt1UsKwjAUQNEsJSvIp2mTqQso7kGoFG1tix/o8o0ORIvgKBXaeyYvvGm4PKuOQy3SMpHP8+eMpjOyb+/H3hfOC2nE\
    DG6X6+4spVipUWDNlFZ6U/ZdXR66JmH/X7p/NZ8ZN+k/hMIIWdJ/ctWf6FNf7Vs1NC0NLv3/f9//7LN/Z50N3P85bBUN\
    AAAAAAAAAAAAAMAS3AHw74SV";

pub(super) const TAR_PAX_LONG: &str = "\
    eNrt1TEKwjAUgOHMnqInSPvSGCfR0Um8QqBF0YpFK/RKnsOLGR3EiuDUCPb/lhfekiH8RPS2Xqt+ZYGz9jGD9xnIy/m+\
    d+OJU0mmIjifGn8MV6phahWGTKc6na98uyh9UR776/9D98/mjbhu/xJWViUt/fdOrElq32ym10vxI+n+UJSVrnfViB5j\
    m0V44O//v+n2n0suhv8/hqWmAQAAAAAAAAAAAAD4Bzci8Ilf";

pub(super) const TAR_GZ: &str = "\
    eNqT7+ZgYPJmyWb6//asLVezgwTLhfca8xzKEmPPT9ZKEP3D2P9+ltYNaY7K9TMTZ538+6Xq2N6gYO/K9OKzavVfitcf\
    jljs/ZH19ia7Z2WS/zP5GWCg7iLjjSadeQwaDAwAEy4oFA==";

pub(super) const CSV_GZ: &str = "eNqT7+ZgAAEmZu8rno+Mrhg+8pJZys7Ky7C2pDF8AiMDAwCKZwjJ";

pub(super) const CSV_BZ2: &str = "\
    eNpzisqwNHSMVAuO3N/uUM/AwBzJwCDAwGLAYMCgwGBwgCNzU4eyevdOpTkaHvGHF9g3AAArBA2o";

pub(super) const CSV_XZ: &str = "\
    eNr7a14VEcXAwPLs2hY3JgZFRjEGBoYS/aeLGRmYE3WSuBj47bXeHL1rLMbAKMOSrzPnoPy2z7WMQDUMLJFRABk2EOI=";

pub(super) const PICKLE_GZ: &str = "\
    eNqT7+ZgAAEm5uyEmVqnGRht17D+PDpTNLjqRpd2t3dQ8XKfeZcOT5lptLTU64KILYP3yV4tDaB6AP1PE14=";

pub(super) const JSONL_ZSTD: &str = "eNrT2Kr/V0Hal4FBorqWi5GhKY8DADIrBKU=";

pub(super) const PYC: &str = "\
    eNpbzsvLxQAETN4s2SxA+jEDEmCE0p9BSqYzpDBEMaQwBjNoMr0EyfhpMt5iBADVbQfi";

pub(super) const SAFETENSORS: &str = "\
    eNo7wQAB1Urx8bmpJYkpiSWJ8fFKVtVKaflFuYklSlZKeQVKtTpKSSCxlJLKglSgkJuxkZKOUnFGIogXbRyrowTWl5+W\
    VpxaUgwUMtAxNIoF6ipH0WVohqTLSAeLPkMjHSMTkMZUZI2eFkj6DDB1GZmAddUqKCgw4AAACaA+Kg==";

pub(super) const GGUF: &str = "\
    eNpzdw91Y2ZgYGBigAB2KC0CpdNT81KLEnP0EouSMzJLUpNLSotSOYDirFD5nJzE3EQeNMV5iblgRSxQ8ZDMvEoRZA16\
    yfl5JakVJfE5qXnpJRlgdUANgmjmpGXmpMaXVBakskBdJgpVUJKfnZqXWZVapJeenpujB+YWc0IMYWCGKmKE0okwRhLM\
    k4dX4jCoODm/KBVsEBtSmEBAgz0blFWhl5aTmA5yDyMzwhyQagUoF1UnqnMKsSnkQFYxCugHAG1MOXw=";

pub(super) const GGUF_TEMPLATES: &str = "\
    eNrtkFFOAjEQhoursKIxMcHI456gV/ANLqDPm7EZuhvbLrRDAhISr+M5vJjbbhcWVB59YpJm2uk3f/vPdPoySRhjF6yJ\
    YcyjmCUatKA4WFGUhIKWFtO6fhXvlQINt0ewAR2gy1h/Ls161G3gojKEK8oVGklF4OqG+yOdWakwp/UcPTCo10MEqHpD\
    U76j5VJqxcPRXTciLIlQL2ZoN6+tya/PP4ScqCwGoX5nJk18PPXjbsVnCqT/Ty/7oSMKoJxQzxUQ1j+rVL50YRo3kd1s\
    Ml922XY7Pt2+s9Q6SHd8I/t4ut/jd/tXNToHEv3Dyb7Ru2xtHDo+HOPiNzDtEuf4//gGQ01nmw==";

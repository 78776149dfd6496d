/** What llama-perplexity v0.5.0 printed for quantizations of the bundled model, shortened. */

export const FINAL_ESTIMATE = `0.00 minutes
[1]59.0752,[2]63.8911,[3]59.8274,[4]66.5269,

0.00.047.333 W llama_context: n_ctx is not divisible by n_seq_max - rounding down to 8192
0.00.071.768 I cmn          init: llama threadpool init, n_threads = 1
0.00.074.542 I perplexity: tokenizing the input ..
0.00.147.720 I perplexity: calculating perplexity over 4 chunks, n_ctx=64, batch_size=2048, n_seq=32
0.00.177.733 I perplexity: 0.03 seconds per pass - ETA 0.00.180.680 I Final estimate: PPL = 66.5269 +/- 17.12289
`;

export const KL_DIVERGENCE = `0.00.047.847 I kl_divergence: computing over 4 chunks, n_ctx=64, batch_size=2048, n_seq=32

chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p
   1      58.6171 ±   30.3329      -0.00781 ±    0.03241       0.01818 ±    0.00460     5.083 ±  1.986 %    83.871 ±  6.715 %
   4      65.4805 ±   16.7440      -0.01587 ±    0.01686       0.01980 ±    0.00192     3.546 ±  0.761 %    85.484 ±  3.176 %

====== Perplexity statistics ======
Mean PPL(Q)                   :  65.480485 ±  16.743961
Mean PPL(base)                :  66.527695 ±  17.123177
Cor(ln(PPL(Q)), ln(PPL(base))):  99.79%
Mean ln(PPL(Q)/PPL(base))     :  -0.015866 ±   0.016857
Mean PPL(Q)/PPL(base)         :   0.984259 ±   0.016591
Mean PPL(Q)-PPL(base)         :  -1.047210 ±   1.170213

====== KL divergence statistics ======
Mean    KLD:   0.019801 ±   0.001915
Maximum KLD:   0.146274
99.9%   KLD:   0.141446
99.0%   KLD:   0.105979
95.0%   KLD:   0.054234
Median  KLD:   0.013136
Minimum KLD:   0.000004

====== Token probability statistics ======
Mean    Δp: -0.217 ± 0.319 %
Maximum Δp: 12.262%
RMS Δp    :  3.546 ± 0.761 %
Same top p: 85.484 ± 3.176 %
`;
